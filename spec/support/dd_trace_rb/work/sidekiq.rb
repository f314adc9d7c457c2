# frozen_string_literal: true

require "sidekiq"
require "sidekiq/testing"

Sidekiq::Testing.inline!
Sidekiq.logger.level = Logger::FATAL

Child.configure { |c| c.tracing.instrument :sidekiq, service_name: "jobs" }

# In tests there is no server to set this up.
Sidekiq::Testing.server_middleware do |chain|
  chain.add Datadog::Tracing::Contrib::Sidekiq::ServerTracer, service_name: "jobs"
end

class Mail
  include Sidekiq::Worker

  def perform(to)
    Datadog::Tracing.trace("render") { raise ArgumentError, "no address" if to.empty? }
  end
end

Child.trace("request") { Mail.perform_async("someone") }
begin
  Mail.perform_async("")
rescue ArgumentError
  # As it should.
end
