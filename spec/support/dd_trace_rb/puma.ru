# frozen_string_literal: true

# An application that is loaded before Puma forks its workers.

ARGV.replace(ENV.fetch("CHILD").split)
require_relative "prelude"

Child.configure { |c| c.tracing.instrument :rack }
Child.trace(resource: "preloaded")

use Datadog::Tracing::Contrib::Rack::TraceMiddleware
run(lambda do |_|
  sleep 0.02 # so that the other worker gets requests, too
  name = "worker #{Process.pid}"
  Child.trace("work", resource: name)
  [200, { "content-type" => "text/plain" }, [name]]
end)
