# frozen_string_literal: true

require_relative "ruby_chroot"

desc "Compile and run the quick specs with each Ruby, in a Debian that has it (RUBIES=, CHROOTS= as for `rake native`)"
task :matrix do
  failed = RubyChroot.chosen.reject do |chroot|
    chroot.prepare
    # Whether it works doesn't depend on the profile, and this one is compiled in a third of the time.
    chroot.rake("spec", env: { "RB_SYS_CARGO_PROFILE" => "dev" })
    puts "Ruby #{chroot.minor}: passed"
    true
  rescue RuntimeError => e
    warn "Ruby #{chroot.minor}: #{e.message}"
  end
  abort "failed with Ruby #{failed.map(&:minor).join(", ")}" if failed.any?
end
