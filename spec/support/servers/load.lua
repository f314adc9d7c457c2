-- For wrk: every request gets a path of its own; the totals come as one line.

local threads = 0
-- Connections that stay would keep to the workers that they found.
local last = { ["Connection"] = "close" }

function setup(thread)
  threads = threads + 1
  thread:set("id", threads)
end

function init()
  number = 0
end

function request()
  number = number + 1
  return wrk.format("GET", "/" .. id .. "/" .. number, number % 10 == 0 and last or {})
end

function done(summary)
  io.write(string.format("answered=%d refused=%d\n", summary.requests, summary.errors.status))
end
