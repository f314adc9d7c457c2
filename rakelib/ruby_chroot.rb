# frozen_string_literal: true

require_relative "debian_chroot"

# A Debian with one of the Rubies that the gem is tested with and precompiled for, and with this tree in it.
class RubyChroot < DebianChroot
  # What compiling and the quick specs take.
  PACKAGES = %w[gcc libc6-dev make libclang-dev ruby-dev git rake rake-compiler ruby-rspec ruby-msgpack
                ruby-async].freeze
  TREE = "/tree"

  attr_reader :minor

  # @param minor [String] of Ruby
  # @param suite [String] the suite of Debian that has it
  # @param experimental [Boolean] whether that suite has it in experimental alone
  # @param rb_sys [String] the suite that has a package of rb_sys
  # @param name [String] of the folder
  def initialize(minor, suite, experimental: false, rb_sys: suite, name: suite)
    super(suite, name:)
    @minor = minor
    @experimental = experimental
    @rb_sys = rb_sys
  end

  ALL = [
    new("3.1", "bookworm", rb_sys: "trixie"),
    new("3.3", "trixie"),
    new("3.4", "unstable", experimental: true)
  ].freeze

  # @return [Array<RubyChroot>] those that RUBIES names, or all
  def self.chosen
    minors = ENV.fetch("RUBIES", "").split(",")
    unknown = minors - ALL.map(&:minor)
    raise ArgumentError, "RUBIES: there is #{ALL.map(&:minor).join(", ")}, not #{unknown.join(", ")}" if unknown.any?

    minors.empty? ? ALL : ALL.select { |chroot| minors.include?(chroot.minor) }
  end

  # Sees to it that there is Ruby, what compiling and testing takes, and this tree as it is now.
  def prepare
    create
    # Another task would take the tree away from the one that uses it. It is released at the end of the process.
    @lock = File.open("#{root}.lock", File::CREAT | File::WRONLY).tap { |file| file.flock(File::LOCK_EX) }
    install_ruby(*PACKAGES)
    install_rb_sys
    # Debian's packages of extensions are for the suite's own Ruby.
    run("sh", "-c", "ruby -e 'require %q(msgpack)' 2>/dev/null || ruby -S gem install --no-document msgpack")
    copy_tree(TREE)
  end

  # @return [RubyChroot] a new one that has Ruby, and neither this tree nor a compiler
  def bare
    self.class.new(minor, @suite, experimental: @experimental, name: "#{@suite}-bare").tap do |chroot|
      chroot.remove
      chroot.create
      chroot.install_ruby
    end
  end

  # @param packages [Array<String>] what to install besides
  def install_ruby(*packages)
    install("ruby", *packages)
    return unless @experimental

    add_suite("experimental")
    install("ruby#{minor}/experimental", *("ruby#{minor}-dev/experimental" if packages.include?("ruby-dev")))
    run("ln", "-sf", "/usr/bin/ruby#{minor}", "/usr/local/bin/ruby")
  end

  # Runs tasks of this tree's Rakefile with the Rust of this machine.
  #
  # @param env [Hash{String => String}] variables to set
  # @param mounts [Hash{String => String}] see {DebianChroot#run}
  def rake(*tasks, env: {}, mounts: {})
    path = [*env["PATH"], "/opt/rust/bin", VARIABLES.fetch("PATH")].join(":")
    # All chroots share the crates that are compiled already, with this machine, too: hence the same paths here and
    # there, and no flags of rb_sys's own. To Cargo all Rubies are one, at one path; RUBY_VERSION tells it otherwise.
    variables = { **env, "PATH" => path, "CARGO_HOME" => cargo_home, "CARGO_TARGET_DIR" => "/target",
                         "CARGO_NET_OFFLINE" => "true", "RUBY_VERSION" => minor, "RB_SYS_GLOBAL_RUSTFLAGS" => "" }
    run("ruby", "-S", "rake", *tasks, chdir: TREE, env: variables, mounts: { **rust, **mounts })
  end

  private

  def cargo_home = ENV.fetch("CARGO_HOME") { File.join(Dir.home, ".cargo") }

  def install_rb_sys
    return install("ruby-rb-sys") if @rb_sys == @suite
    return if installed?("ruby-rb-sys")

    # The package is plain Ruby. If apt installed it, Ruby would come from that suite, too.
    add_suite(@rb_sys)
    run("sh", "-euc", "#{APT} update; cd /tmp; #{APT} download ruby-rb-sys/#{@rb_sys}; dpkg -i ruby-rb-sys_*.deb",
        out: File::NULL)
  end

  # @return [Hash{String => String}] see {DebianChroot#run}
  def rust
    # Here, where certificates and settings of the network are.
    system("cargo", "fetch", "--quiet", "--locked") or raise "cargo fetch failed"
    target = ENV.fetch("CARGO_TARGET_DIR") { File.join(FOLDER, "target") }
    FileUtils.mkdir_p(target)
    { "/opt/rust" => `rustc --print sysroot`.chomp,
      cargo_home => cargo_home,
      "/target" => target }
  end
end
