# frozen_string_literal: true

require "sinatra/base"
require "rack"

configure do |c|
  c.tracing.instrument :rack
  c.tracing.instrument :sinatra, service_name: "kitchen"
end

class Kitchen < Sinatra::Base
  set :environment, :production
  set :logging, false
  set :protection, false

  get("/dish/:name") { Datadog::Tracing.trace("cook") { params["name"] } }
  get("/burnt") { halt 500, "smoke" }
  get("/menu") { erb "<%= 1 + 1 %>" }
end

app = Rack::Builder.new do
  use Datadog::Tracing::Contrib::Rack::TraceMiddleware
  run Kitchen
end.to_app

request = Rack::MockRequest.new(app)
%w[/dish/soup /burnt /menu /nowhere].each { |path| request.get(path) }
