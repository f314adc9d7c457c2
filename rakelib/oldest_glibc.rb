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
    sysroot.run("sh", "-euc", RELATIVE_LINKS)
    chroot.run("sh", "-euc", LINKER)
    { env: { "PATH" => LINKERS }, mounts: { SYSROOT => sysroot.root } }
  end

  # Seen from another root, absolute links would lead to that one's glibc.
  RELATIVE_LINKS = <<~SH
    find /usr/lib/*-linux-gnu /usr/lib64 -type l -lname "/*" 2>/dev/null | while read -r link; do
      ln -srf "$(readlink "$link")" "$link"
    done
  SH

  # The compiler that Ruby was built with links, and is found here first. It looks into the folders beside itself before
  # those of --sysroot. Flags for rustc would have everything compiled anew that was compiled without them.
  LINKER = <<~SH.freeze
    compiler=$(ruby -rrbconfig -e 'print RbConfig::CONFIG["CC"]')
    libraries=#{SYSROOT}/usr/lib/$(/usr/bin/$compiler -print-multiarch)
    mkdir -p #{LINKERS}
    printf '#!/bin/sh\nexec /usr/bin/%s --sysroot=#{SYSROOT} -B%s -L%s "$@"\n' \
      "$compiler" "$libraries" "$libraries" >#{LINKERS}/$compiler
    chmod +x #{LINKERS}/$compiler
  SH
  private_constant :RELATIVE_LINKS, :LINKER
end
