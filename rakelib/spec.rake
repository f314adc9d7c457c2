# frozen_string_literal: true

require "rspec/core/rake_task"

# What takes long, or an installation of its own. `rspec` alone leaves these files out, too: see .rspec.
packaging_specs = FileList["spec/slow/packaging_spec.rb"]
slow_specs = FileList["spec/slow/**/*_spec.rb", "spec/integration/dd_trace_rb/**/*_spec.rb"] - packaging_specs

# What reads Ruby's objects.
lowering_specs = FileList[
  "spec/span/*_spec.rb", "spec/push_trace/*_spec.rb", "spec/open_telemetry/*_spec.rb", "spec/trace_chunks_spec.rb",
  "spec/corpus_spec.rb", "spec/integration/hostile_spec.rb"
]

desc "Run the specs that are quick, in less than two minutes"
RSpec::Core::RakeTask.new(spec: %i[compile spec:test_agent])

namespace :spec do
  desc "Run the other specs: GC stress, valgrind, servers, fork storm, packaging, benchmarks, dd-trace-rb, signatures"
  task slow: %i[compile slow_side_by_side]
  # Linking the packaged gem keeps one processor busy, and many of the others wait most of the time.
  multitask slow_side_by_side: %i[systems rest]
  task rest: %i[packaging without_private_layouts signatures]

  # All of them, in two lanes that take about as long.
  task all: %i[compile all_side_by_side]
  multitask all_side_by_side: %i[quick_and_systems rest]
  task quick_and_systems: %w[spec systems]

  RSpec::Core::RakeTask.new(systems: %i[compile test_agent]) do |task|
    task.pattern = slow_specs
  end

  RSpec::Core::RakeTask.new(packaging: :compile) do |task|
    task.pattern = packaging_specs
  end

  desc "Run the specs of lowering without what is known of the inside of Ruby's objects"
  task without_private_layouts: %i[compile spec:test_agent] do
    sh({ "DD_NATIVE_EXPORT_PRIVATE_LAYOUTS" => "0" }, "rspec", "--format", "progress", *lowering_specs)
  end

  # Specs against Datadog's test agent run when this is set: see `bin/setup --test`.
  task :test_agent do
    executable = File.expand_path("../.tools/venv/bin/ddapm-test-agent", __dir__)
    ENV["DDAPM_TEST_AGENT"] ||= executable if File.executable?(executable)
  end
end
