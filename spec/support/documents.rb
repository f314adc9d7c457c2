# frozen_string_literal: true

module Support
  # The documents that a reader finds, and what can be checked in them.
  module Documents
    ROOT = File.expand_path("../..", __dir__)
    PATHS = Dir.glob(%w[*.md docs/*.md], base: ROOT).sort.freeze

    # A fence of Ruby, with the comment above it.
    Sample = Struct.new(:document, :line, :comment, :code, keyword_init: true) do
      def to_s = "#{document}:#{line}"

      # Number of spans that the sample sends, if it says so.
      def spans = comment&.slice(/\Asends (\d+) spans?\z/, 1)&.to_i

      # Why the sample can't run.
      def excuse = comment&.slice(/\Anot run: (.+)\z/m, 1)

      def needs_tracer? = code.match?(/^require "datadog"$/)

      def needs_opentelemetry? = code.match?(/^require "opentelemetry/)
    end

    class << self
      def read(path) = File.read(File.join(ROOT, path), encoding: "UTF-8")

      def samples
        PATHS.flat_map do |path|
          read(path).to_enum(:scan, /(?:^<!-- ([^>]*) -->\n)?^```ruby\n(.*?)^```$/m).map do
            found = Regexp.last_match
            Sample.new(document: path, line: found.pre_match.count("\n") + 1, comment: found[1], code: found[2])
          end
        end
      end

      # The cells of each row of the tables of a section.
      def rows(path, heading)
        section(path, heading).scan(/^\| (.*) \|$/).map { |(row)| row.split(/ ?(?<!\\)\| ?/, -1).map(&:strip) }
      end

      # The code in the first column of the tables of a section, such as `name`, `service`.
      def first_column(path, heading)
        section(path, heading).scan(/^\| (`.*?) \| /).flat_map { |(cell)| cell.scan(/`([^`]+)`/).flatten }
      end

      # What is under a heading, up to the next one.
      def section(path, heading)
        read(path)[/^\#+ #{Regexp.escape(heading)}\n(.*?)(?=^\#+ |\z)/m, 1]
      end

      # Targets of links within the repository, by document.
      def links
        PATHS.flat_map do |path|
          read(path).scan(/\]\(([^)\s]+)\)/).flatten.grep_v(/\Ahttps?:/).map { |target| [path, target] }
        end
      end

      # The anchors of a document's headings, as GitHub makes them.
      def anchors(path)
        read(path).scan(/^\#+ (.+)$/).flatten.map { |heading| heading.downcase.gsub(/[^\w\- ]/, "").tr(" ", "-") }
      end

      # Files and folders that a document names in code.
      def named_paths(path)
        read(path).scan(%r{`((?:src|ext|exe|lib|spec|bench|bin|docs|examples|rakelib)/[\w/.-]*)`}).flatten.uniq
      end
    end
  end
end
