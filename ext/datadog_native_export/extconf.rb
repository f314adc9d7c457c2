# frozen_string_literal: true

# What is read of objects is read as CRuby has it.
abort "datadog-native-export is for CRuby, this is #{RUBY_ENGINE}" unless RUBY_ENGINE == "ruby"

require "mkmf"
require "rb_sys/mkmf"

create_rust_makefile("datadog_native_export/datadog_native_export") do |rust|
  next unless rust.rubygems_invoked?

  # A released gem builds what was tested, or says that it can't.
  rust.extra_cargo_args << "--locked"
  # By default only the profile's own folder goes. Builds for an explicit target leave hundreds of megabytes
  # beside it, and a second copy of the library stays in any case.
  rust.rubygems_clean_dirs.push("./target", "$(DLLIB)")
end
