# frozen_string_literal: true

require "net/http"
require_relative "../../support/dd_trace_rb"
require_relative "../../support/server"

# A Rails application by the tracer's own transport and by this gem: what arrives of each request has to be the same.
RSpec.describe "Rails with dd-trace-rb" do
  include_context "with dd-trace-rb"

  missing = %w[railties activerecord activejob sqlite3 puma]
            .reject { |name| Gem::Specification.find_all_by_name(name).any? }
  before { skip("not installed: #{missing.join(", ")}; bin/setup --test does it") if missing.any? }

  application = File.join(Support::DDTraceRb::FOLDER, "rails")

  # One database for all, as its path is in the spans.
  before(:all) do
    next if missing.any? || Support::DDTraceRb.absent

    @folder = Dir.mktmpdir
    require "sqlite3"
    SQLite3::Database.new(database) do |db|
      db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, title VARCHAR)")
      %w[soup bread].each { |title| db.execute("INSERT INTO orders (title) VALUES (?)", [title]) }
    end
  end

  after(:all) { FileUtils.remove_entry(@folder) if @folder }

  def database = File.join(@folder, "shop.sqlite3")

  def environment(way, token)
    { "CHILD" => [way, agent.url, token].join(" "), **Support::DDTraceRb::UNSET,
      "DATABASE_URL" => "sqlite3:#{database}", "RAILS_ENV" => "production" }
  end

  # Serves the block's requests from two workers, both of which have served before.
  def serve(way, token, application)
    port = free_port
    command = [*Support::DDTraceRb.command, "-S", "puma", "--workers", "2", "--threads", "2:2", "--preload",
               "--bind", "tcp://127.0.0.1:#{port}", "config.ru"]
    Support::Server.run(*command, env: environment(way, token), chdir: application) do |server|
      server.wait_for(/Worker 1 .* booted/)
      workers = []
      wait_until(limit: 60) { (workers |= [get(port, "/worker").body]).size == 2 }
      yield port
      server.signal("TERM")
      server.wait
    end
  end

  # What would differ from run to run doesn't: the port, and ids that Rails chooses.
  def get(port, path, form = nil)
    request = form ? Net::HTTP::Post.new(path) : Net::HTTP::Get.new(path)
    request.set_form_data(form) if form
    request["Host"] = "shop.test"
    request["X-Request-Id"] = "request"
    Net::HTTP.start("127.0.0.1", port) { |http| http.request(request) }
  end

  # What arrives in the way of each kind of request, and what was answered.
  def requested(way, application)
    token = agent.start_session
    statuses = nil
    serve(way, token, application) do |port|
      statuses = [["/orders"], ["/orders/1"], ["/orders/7"], ["/missing"], ["/broken"], ["/orders", { title: "tea" }]]
                 .flat_map { |request| Array.new(3) { get(port, *request).code } }
    end
    traces = chunks(token).reject { |chunk| chunk.any? { |span| span["resource"] == "OrdersController#worker" } }
    [statuses, comparable(traces)]
  end

  controls = []
  let(:control) { controls[0] ||= requested("http", application) }

  Support::DDTraceRb::WAYS.each do |way|
    it "sends the same of each request from the workers of a Puma cluster, by #{way}" do
      statuses, traces = requested(way, application)

      expect(statuses).to eq(%w[200 200 404 404 500 302].flat_map { |status| [status] * 3 })
      expect(traces.map { |chunk| chunk.map { |span| span["resource"] } })
        .to eq(control.last.map { |chunk| chunk.map { |span| span["resource"] } })
      traces.flatten.zip(control.last.flatten) { |span, original| expect(span).to eq(original) }
      expect(traces.flatten.map { |span| span["name"] })
        .to include("rack.request", "rails.action_controller", "rails.render_partial", "active_job.perform",
                    "order.load")
    end

    {
      "a Rake task" => %w[-S rake orders:count],
      "`rails runner`" => ["-e", 'APP_PATH = File.expand_path("config/application"); require "rails/commands"',
                           "runner", 'Datadog::Tracing.trace("run") { Order.pluck(:title) }']
    }.each do |name, command|
      it "sends the same of #{name}, by #{way}" do
        expected, arrived = ["http", way].map do |each_way|
          token = agent.start_session
          output, status = Open3.capture2e(environment(each_way, token), *Support::DDTraceRb.command, *command,
                                           chdir: application)
          expect(status).to be_success, output
          comparable(chunks(token))
        end

        expect(arrived.flatten.size).to be >= 2
        expect(arrived).to eq(expected)
      end
    end
  end
end
