# frozen_string_literal: true

desc "Build the site of the documents and of the API into doc/; fails for what is public and undocumented"
task :docs do
  report = IO.popen(%w[yard doc --fail-on-warning], &:read)
  puts report
  abort "yard: failed" unless Process.last_status.success?
  abort "yard: see `yard stats --list-undoc`" unless report.include?("100.00% documented")

  Dir["doc/**/*.html"].each { |page| File.write(page, DocsSite.relink(File.read(page))) }
  FileUtils.cp(Dir["docs/*.svg"], "doc")
end

# YARD leaves links between documents as they are in the repository.
module DocsSite
  LINK = %r{(?<=href=")(?:\.\./)?((?:[\w-]+/)*)([\w-]+)(?:\.\w+)?(?=[#"])}
  REPOSITORY = "#{Gem::Specification.load("datadog-native-export.gemspec").homepage}/blob/main/".freeze

  def self.relink(html)
    html.gsub(LINK) do |link|
      folder, name = Regexp.last_match.captures
      page = "file.#{name}.html"
      if ["", "docs/"].include?(folder) && File.exist?("doc/#{page}") then page
      elsif File.exist?(path = link.delete_prefix("../")) && !File.exist?("doc/#{path}") then REPOSITORY + path
      else
        link
      end
    end
  end
end
