# frozen_string_literal: true

require_relative "traced"

# In the master when the application is preloaded.
Traced.call("boot #{Process.pid}")

run(lambda do |env|
  Traced.call(env["PATH_INFO"])
  # As long as a query takes: time for other threads, and for signals to find requests under way.
  sleep 0.01
  [200, { "content-type" => "text/plain" }, ["hello"]]
end)
