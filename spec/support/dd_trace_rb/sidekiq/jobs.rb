# frozen_string_literal: true

# Jobs, for Sidekiq itself (`sidekiq -r jobs.rb`) and for those who ask for them. REDIS_URL says where they meet, and
# CHILD how their traces are exported.

require "sidekiq"

arguments = ARGV.dup
ARGV.replace(ENV.fetch("CHILD").split)
require_relative "../prelude"
ARGV.replace(arguments)

Child.configure { |c| c.tracing.instrument :sidekiq, service_name: "jobs", distributed_tracing: true }

class Mail
  include Sidekiq::Worker

  sidekiq_options retry: 1

  def perform(to)
    Datadog::Tracing.trace("render", tags: { "to" => to }) { raise ArgumentError, "no address" if to.empty? }
  end
end

class Newsletter
  include Sidekiq::Worker

  def perform(count)
    count.times { |index| Mail.perform_async("reader #{index}") }
  end
end
