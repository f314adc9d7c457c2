# frozen_string_literal: true

require_relative "native_gem"
require_relative "native_verification"
require_relative "oldest_glibc"
require_relative "ruby_chroot"

# A precompiled gem holds a library for each Ruby:
#   rake native gem            on Linux, with debootstrap: compiles one in a Debian for each Ruby
#   rake native:library gem    elsewhere: compiles one for this Ruby, beside those that are in pkg/native already
desc "Compile for each Ruby in chroots of its Debian (RUBIES=3.1,3.3: for these; CHROOTS=folder of the chroots)"
task :native do
  RubyChroot.chosen.each do |chroot|
    chroot.prepare
    chroot.rake("native:library", **OldestGlibc.options(chroot))
    FileUtils.mkdir_p(NativeGem::LIBRARIES)
    FileUtils.cp_r("#{chroot.root}#{RubyChroot::TREE}/#{NativeGem::LIBRARIES}/.", NativeGem::LIBRARIES)
  end
end

namespace :native do
  desc "Compile for this Ruby, and keep the library in pkg/native"
  task :library do
    ENV["RB_SYS_CARGO_PROFILE"] ||= "release"
    Rake::Task["compile"].invoke
    NativeGem.add_library
  end

  desc "Install the precompiled gem in new chroots without Rust and without a compiler, and export spans from there"
  task :verify do
    RubyChroot.chosen.each { |chroot| NativeVerification.new(chroot.bare).call(NativeGem.path) }
  end
end

desc "Build the source gem, and one for each platform that pkg/native has libraries for"
task :gem do
  NativeGem.build_all
end
