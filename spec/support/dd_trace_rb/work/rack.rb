# frozen_string_literal: true

# A Rack application, one request of which comes from another service.

require "rack"

Child.configure { |c| c.tracing.instrument :rack, web_service_name: "front", headers: { request: ["X-Shop"] } }

app = Rack::Builder.new do
  use Datadog::Tracing::Contrib::Rack::TraceMiddleware
  run(lambda do |env|
    raise "broken" if env["PATH_INFO"] == "/broken"

    Datadog::Tracing.trace("work") { [env["PATH_INFO"] == "/missing" ? 404 : 200, {}, ["ok"]] }
  end)
end.to_app

request = Rack::MockRequest.new(app)
request.get("/orders/1?secret=1", "HTTP_X_SHOP" => "east", "HTTP_USER_AGENT" => "spec")
request.get("/missing")
begin
  request.get("/broken")
rescue RuntimeError
  # As it should.
end
request.get(
  "/remote",
  "HTTP_X_DATADOG_TRACE_ID" => "1234", "HTTP_X_DATADOG_PARENT_ID" => "18446744073709551615",
  "HTTP_X_DATADOG_SAMPLING_PRIORITY" => "2", "HTTP_X_DATADOG_ORIGIN" => "synthetics",
  "HTTP_X_DATADOG_TAGS" => "_dd.p.tid=0123456789abcdef,_dd.p.dm=-4"
)
request.get(
  "/w3c",
  "HTTP_TRACEPARENT" => "00-0123456789abcdeffedcba9876543210-00000000000000ff-01",
  "HTTP_TRACESTATE" => "dd=s:1;o:rum,other=1"
)
