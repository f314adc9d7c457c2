# frozen_string_literal: true

require_relative "../../lib/datadog/native_export/library"
require_relative "build/requirements"

library = Datadog::NativeExport::Library
if library.unwanted?
  # RubyGems calls make all the same.
  File.write("Makefile", "all install clean:\n")
  puts "#{library::VARIABLE} is set: no extension is built"
  exit
end

problem = Build::Requirements.new.problem
abort problem if problem

require "mkmf"
require "rb_sys/mkmf"

create_rust_makefile("datadog_native_export/datadog_native_export") do |rust|
  # By default a script from the network would install Rust where there is none.
  rust.auto_install_rust_toolchain = false
  next unless rust.rubygems_invoked?

  # A released gem builds what was tested, or says that it can't.
  rust.extra_cargo_args << "--locked"
  # By default only the profile's own folder goes. Builds for an explicit target leave hundreds of megabytes
  # beside it, and a second copy of the library stays in any case.
  rust.rubygems_clean_dirs.push("./target", "$(DLLIB)")
end
