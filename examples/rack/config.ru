# frozen_string_literal: true

# A Rack application that dd-trace-rb traces, exported natively. With an agent at hand:
#
#   gem install datadog datadog-native-export rack puma
#   DD_TRACE_AGENT_URL=http://127.0.0.1:8126 puma --workers 2 --preload examples/rack/config.ru
#   curl http://127.0.0.1:9292/orders/1

require "datadog"
require "datadog/native_export"

Datadog::NativeExport.enable!

Datadog.configure do |c|
  c.service = "shop"
  c.tracing.instrument :rack
end

use Datadog::Tracing::Contrib::Rack::TraceMiddleware

run(lambda do |env|
  order = Datadog::Tracing.trace("order.load", resource: "orders") do |span|
    span.set_tag("order.id", env["PATH_INFO"][/\d+/])
    "order #{span.get_tag("order.id")}\n"
  end
  [200, { "content-type" => "text/plain" }, [order]]
end)
