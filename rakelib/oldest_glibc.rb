# frozen_string_literal: true

require_relative "debian_chroot"

# Links to the glibc of an old Debian, whichever one a chroot has. A library runs with the glibc that it was linked to
# and all later ones, but not with earlier ones.
module OldestGlibc
  SUITE = "bullseye"
  SYSROOT = "/opt/sysroot"
  LINKERS = "/opt/linkers"
  private_constant :SUITE, :SYSROOT, :LINKERS

  # @param chroot [RubyChroot] where the library is compiled
  # @return [Hash{Symbol => Hash}] options of {RubyChroot#rake}
  def self.options(chroot)
    sysroot = DebianChroot.new(SUITE).create
    sysroot.install("libc6-dev")
    # The compiler that Ruby was built with links, whose name is first found here. A flag in RUSTFLAGS would have
    # everything compiled anew that was compiled without it.
    chroot.run("sh", "-euc", <<~SH)
      compiler=$(ruby -rrbconfig -e 'print RbConfig::CONFIG["CC"]')
      mkdir -p #{LINKERS}
      printf '#!/bin/sh\\nexec /usr/bin/%s --sysroot=#{SYSROOT} "$@"\\n' "$compiler" >#{LINKERS}/$compiler
      chmod +x #{LINKERS}/$compiler
    SH
    { env: { "PATH" => LINKERS }, mounts: { SYSROOT => sysroot.root } }
  end
end
