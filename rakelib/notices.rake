# frozen_string_literal: true

require "json"

desc "Write THIRD-PARTY-NOTICES, of the crates that the extension is linked with"
task :notices do
  File.write(Notices::PATH, Notices.text)
end

namespace :lint do
  task :notices do
    abort "#{Notices::PATH} is out of date: run `rake notices`" unless File.read(Notices::PATH) == Notices.text
  end
end

# What the licences of linked crates demand of who passes the library on. A crate that may be had under this gem's
# own licence is listed, with its NOTICE file if it has one; of the others their licences are given, too.
module Notices
  PATH = "THIRD-PARTY-NOTICES"
  OWN_LICENCE = "Apache-2.0"
  TARGETS = File.read("deny.toml")[/^targets = \[(.*?)\]/m, 1].scan(/"(.+?)"/).flatten.freeze

  Crate = Struct.new(:name, :version, :licence, :folder, keyword_init: true) do
    def to_s = "#{name} #{version}"
    def own_licence? = licence.split(%r{ OR |\s*/\s*}).include?(OWN_LICENCE)

    def texts
      files = Dir["#{folder}/**/*"].select { |file| File.file?(file) && File.basename(file).match?(pattern) }.sort
      abort "#{self}: no licence is found in #{folder}" if files.empty? && !own_licence?
      files.map { |file| File.read(file, encoding: "UTF-8").gsub("\r\n", "\n").gsub(/[ \t]+$/, "").strip }
    end

    private

    def pattern = own_licence? ? /\ANOTICE/i : /\A(LICEN[CS]E|COPYING|NOTICE|UNLICENSE)/i
  end

  class << self
    def text
      list = crates.map { |crate| "  #{crate} (#{crate.licence})" }
      <<~TEXT
        The library of datadog-native-export contains Rust's standard library (MIT OR Apache-2.0) and code of these
        crates from https://crates.io:

        #{list.join("\n")}

        Where a crate offers it, this gem uses it under the Apache License 2.0, which is in the file LICENSE.
        Notices and licences of the others follow.
        #{texts.map { |text, of| "\n#{"-" * 80}\n#{of.join(", ")}:\n\n#{text}\n" }.join}
      TEXT
    end

    private

    # Crates by the text that they have in common.
    def texts
      pairs = crates.flat_map { |crate| crate.texts.map { |text| [text, crate] } }
      pairs.group_by(&:first).transform_values { |found| found.map(&:last) }
    end

    def crates
      @crates ||= packages.values_at(*linked).select { |package| package["source"] }.map do |package|
        Crate.new(name: package["name"], version: package["version"], licence: package["license"],
                  folder: File.dirname(package["manifest_path"]))
      end
    end

    # Neither what only tests and build scripts use, nor macros, which leave none of their code behind.
    def linked
      targets = TARGETS.flat_map { |target| ["--target", target] }
      tree = cargo("tree", "--package", "datadog_native_export", "--edges", "normal,no-proc-macro", "--prefix", "none",
                   "--format", "{p}", *targets)
      tree.scan(/^(\S+) v(\S+)/).uniq.sort
    end

    def packages
      all = JSON.parse(cargo("metadata", "--format-version", "1")).fetch("packages")
      all.to_h { |package| [package.values_at("name", "version"), package] }
    end

    def cargo(*arguments)
      output = IO.popen(["cargo", *arguments, "--locked"], &:read)
      Process.last_status.success? ? output : abort("cargo #{arguments.first} failed")
    end
  end
end
