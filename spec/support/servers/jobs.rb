# frozen_string_literal: true

require_relative "traced"
require "sidekiq"

class Job
  include Sidekiq::Worker

  def perform(name, seconds)
    Traced.call(name)
    sleep seconds
  end
end

# What the process is to do is queued by itself: name to seconds.
JSON.parse(ENV.fetch("JOBS")).each { |name, seconds| Job.perform_async(name, seconds) }
