# frozen_string_literal: true

require "fileutils"
require "open3"
require "shellwords"

# A Debian in a folder of its own, made by debootstrap: a machine with another Ruby, another glibc, or no Rust.
# Takes Linux and root, or sudo.
class DebianChroot
  MIRROR = "http://deb.debian.org/debian"
  FOLDER = File.expand_path(ENV.fetch("CHROOTS", "tmp/chroots"))
  VARIABLES = { "PATH" => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME" => "/root",
                "LANG" => "C.UTF-8", "DEBIAN_FRONTEND" => "noninteractive" }.freeze

  # Suites that are no releases have lists that expire, and nobody minds if these folders don't survive a power cut.
  APT = "apt-get -qq -o Acquire::Check-Valid-Until=false -o Dpkg::Options::=--force-unsafe-io"

  attr_reader :root

  # @param suite [String] of Debian
  # @param name [String] of the folder
  def initialize(suite, name: suite)
    @suite = suite
    @root = File.join(FOLDER, name)
  end

  # Makes it, unless it is there.
  #
  # @return [self]
  def create
    complete = File.join(root, ".complete")
    return self if File.exist?(complete)

    remove
    FileUtils.mkdir_p(FOLDER)
    puts "making #{root}"
    as_root("debootstrap", "--variant=minbase", @suite, root, MIRROR, out: File::NULL)
    write("/.complete", "")
    self
  end

  def remove = as_root("rm", "-rf", root)

  # Installs those that are missing.
  #
  # @param packages [Array<String>] `name`, or `name/suite` to take it from another suite
  def install(*packages)
    return if packages.all? { |package| installed?(package[%r{[^/]+}]) }

    puts "installing #{packages.join(" ")} in #{root}"
    run("sh", "-euc", "#{APT} update; #{APT} install -y --no-install-recommends \"$@\"", "sh", *packages,
        out: File::NULL)
  end

  # Adds a suite whose packages are taken only when they are asked for.
  def add_suite(suite)
    write("/etc/apt/sources.list.d/#{suite}.list", "deb #{MIRROR} #{suite} main\n")
    write("/etc/apt/preferences.d/#{suite}", "Package: *\nPin: release a=#{suite}\nPin-Priority: 1\n")
  end

  # Copies what Git tracks here, or would track.
  #
  # @param folder [String] the folder to have it in
  def copy_tree(folder)
    run("rm", "-rf", folder)
    run("mkdir", folder)
    files, = Open3.capture2("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    files = files.split("\0").select { |file| File.exist?(file) }
    archive, = Open3.capture2("tar", "-c", "--null", "-T", "-", stdin_data: files.join("\0"), binmode: true)
    run("tar", "-x", "--no-same-owner", "-C", folder, stdin: archive)
  end

  # Runs a command in it. What is mounted is seen by that command alone, and is gone with it.
  #
  # @param mounts [Hash{String => String}] folders of this machine by those where they are to be seen
  # @raise [RuntimeError] when the command fails
  def run(*command, env: {}, mounts: {}, chdir: "/", **options)
    variables = VARIABLES.merge(env).map { |name, value| "#{name}=#{value}" }
    as_root("unshare", "--mount", "--propagation", "private", "sh", "-euc",
            "#{mount_commands(mounts)}\nexec chroot #{root.shellescape} \"$@\"",
            "sh", "env", "-i", *variables, "sh", "-c", "cd \"$0\" && exec \"$@\"", chdir, *command, **options)
  end

  def write(path, text) = as_root("tee", File.join(root, path), stdin: text, out: File::NULL)

  private

  def as_root(*command, stdin: nil, **options)
    command.unshift("sudo") unless Process.uid.zero?
    Open3.pipeline_w([*command, options]) do |input, threads|
      input.binmode.write(stdin) if stdin
      input.close
      status = threads.last.value
      raise "#{command.last(3).join(" ")}: failed in #{root}" unless status.success?
    end
  end

  def installed?(package)
    output, = Open3.capture2e("dpkg-query", "--root=#{root}", "-W", "-f=${Status}", package)
    output.end_with?(" installed")
  end

  def mount_commands(mounts)
    { "/proc" => "/proc", "/dev" => "/dev" }.merge(mounts).map do |there, here|
      place = File.join(root, there).shellescape
      "mkdir -p #{place}; mount --rbind #{here.shellescape} #{place}"
    end.join("\n")
  end
end
