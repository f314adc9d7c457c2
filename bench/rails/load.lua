-- Prints what a load comes to, as JSON. Pauses for as many milliseconds before each request as it is told to.

local pause = 0

function init(arguments)
  pause = tonumber(arguments[1] or "0")
  if pause == 0 then delay = nil end
end

function delay() return pause end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "failed": %d, "p50": %.3f, "p99": %.3f}\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
