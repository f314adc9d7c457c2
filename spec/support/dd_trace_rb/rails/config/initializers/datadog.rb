# frozen_string_literal: true

return unless defined?(Child)

Child.configure do |c|
  c.tracing.instrument :rails
  c.tracing.instrument :active_record
  c.tracing.instrument :active_job
  c.tracing.instrument :rake, tasks: ["orders:count"] if defined?(Rake::Task)
end
