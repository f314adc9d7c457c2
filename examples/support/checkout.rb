# frozen_string_literal: true

require "securerandom"

# A request as a shop could have traced it: its page needs a cache, a database and two other services, one of
# which doesn't answer in time.
module Checkout
  # key => parent, service, name, resource, start and duration in milliseconds
  CALLS = {
    request: [nil, "shop-web", "rack.request", "GET /checkout", 0, 184.2],
    session: [:request, "shop-redis", "redis.command", "GET session", 1.9, 0.8],
    action: [:request, "shop-web", "rails.action_controller", "CheckoutController#show", 4.1, 178.4],
    cart: [:action, "shop-postgres", "pg.exec", "SELECT * FROM carts WHERE user_id = $1", 6.3, 9.7],
    items: [:action, "shop-postgres", "pg.exec",
            "SELECT p.* FROM items i JOIN products p ON p.id = i.product_id WHERE cart_id = $1", 17.2, 21.5],
    quote: [:action, "shop-web", "http.request", "POST shipping/v1/quotes", 40.4, 52.8],
    shipping: [:quote, "shipping-api", "rack.request", "POST /v1/quotes", 42.6, 48.1],
    rates: [:shipping, "shipping-mysql", "mysql2.query", "SELECT fee FROM rates WHERE zone = ?", 47.0, 31.6],
    payment: [:action, "shop-web", "http.request", "POST payments/v1/authorizations", 95.0, 60.3],
    notice: [:action, "shop-redis", "redis.command", "SETEX payment:retry", 156.1, 0.6],
    view: [:action, "shop-web", "rails.render_template", "checkout/show.html.erb", 158.0, 23.2]
  }.freeze

  # name => type, tags
  KINDS = {
    "rack.request" => ["web", { "span.kind" => "server", "component" => "rack" }],
    "rails.action_controller" => ["web", { "component" => "action_pack" }],
    "rails.render_template" => ["template", { "component" => "action_view" }],
    "http.request" => ["http", { "span.kind" => "client", "http.method" => "POST" }],
    "redis.command" => ["redis", { "span.kind" => "client", "out.host" => "redis" }],
    "pg.exec" => ["sql", { "span.kind" => "client", "db.system" => "postgresql" }],
    "mysql2.query" => ["sql", { "span.kind" => "client", "db.system" => "mysql" }]
  }.freeze

  ERRORS = {
    payment: {
      "error.type" => "Net::ReadTimeout",
      "error.message" => "no answer from payments:8443 within 60 ms",
      "error.stack" => <<~STACK
        lib/shop/payments.rb:41:in `authorize': no answer from payments:8443 within 60 ms (Net::ReadTimeout)
        \tfrom app/services/checkout.rb:27:in `reserve'
        \tfrom app/controllers/checkout_controller.rb:12:in `show'
      STACK
    }
  }.freeze

  # @return [Array<Hash{Symbol => Object}>] arguments for `Span.new`, the root first; ids are new each time
  def self.spans
    trace_id = random_id
    ids = CALLS.transform_values { random_id }
    now = Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond)
    request_start = now - nanoseconds(CALLS[:request].last)

    CALLS.map do |key, (parent, service, name, resource, start, duration)|
      type, tags = KINDS.fetch(name)
      { name:, service:, resource:, type:, trace_id:, span_id: ids[key], parent_id: ids.fetch(parent, 0),
        start: request_start + nanoseconds(start), duration: nanoseconds(duration),
        error: ERRORS.key?(key) ? 1 : 0, meta: { "env" => "demo", **tags, **ERRORS.fetch(key, {}) },
        metrics: parent ? nil : { "_sampling_priority_v1" => 1, "_dd.top_level" => 1 } }
    end
  end

  def self.random_id
    SecureRandom.random_number(1...(2**63))
  end
  private_class_method :random_id

  def self.nanoseconds(milliseconds)
    (milliseconds * 1_000_000).round
  end
  private_class_method :nanoseconds
end
