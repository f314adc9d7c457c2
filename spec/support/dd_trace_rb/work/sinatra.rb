# frozen_string_literal: true

require "sinatra/base"
require "rack"

Child.configure do |c|
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

request = Rack::MockRequest.new(Kitchen)
%w[/dish/soup /burnt /menu /nowhere].each { |path| request.get(path) }
