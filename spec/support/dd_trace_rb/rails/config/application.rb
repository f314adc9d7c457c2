# frozen_string_literal: true

# A small shop, which exports its traces in the way that CHILD says, or isn't traced.

if ENV.key?("CHILD")
  arguments = ARGV.dup
  ARGV.replace(ENV.fetch("CHILD").split)
  require_relative "../../prelude"
  ARGV.replace(arguments)
end

require "logger"

require "rails"
%w[active_record active_job action_controller action_view].each { |framework| require "#{framework}/railtie" }

module Shop
  class Application < Rails::Application
    config.root = File.expand_path("..", __dir__)
    config.load_defaults("#{Rails::VERSION::MAJOR}.#{Rails::VERSION::MINOR}")
    config.eager_load = true
    config.secret_key_base = "of a test"
    config.logger = Logger.new(nil)
    config.cache_store = :memory_store
    config.active_job.queue_adapter = :inline
    # As in production: errors become answers.
    config.consider_all_requests_local = false
    config.action_dispatch.show_exceptions = :all
    config.hosts.clear
  end
end
