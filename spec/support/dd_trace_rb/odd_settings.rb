# frozen_string_literal: true

require "pathname"
require "socket"

# Values of settings that say where the agent is and how it is spoken to, as people and platforms set them. Loaded in
# the specs, and in children that try each of them.
module OddSettings
  # `env` and `agent` (c.agent) are what is set. `warns` is what one line of this gem's has to name.
  Case = Struct.new(:env, :agent, :warns, keyword_init: true) do
    def initialize(env: {}, agent: {}, warns: nil) = super
  end

  # Agents that listen on a port and on `apm.socket` in the working directory.
  #
  # @return [Hash{String => Case}] by name
  def self.all(port)
    {
      **hosts(port), **ports(port), **urls(port), **sockets,
      **by_code(port), **timeouts(port), **headers(port), **products(port)
    }
  end

  class << self
    private

    def hosts(port)
      ["", "127.1", "0", "LOCALHOST", "::ffff:127.0.0.1", "[127.0.0.1]", " 127.0.0.1", "127.0.0.1\n", "no host",
       "http://127.0.0.1"].to_h do |host|
        ["DD_AGENT_HOST=#{host.inspect}",
         Case.new(env: { "DD_AGENT_HOST" => host, "DD_TRACE_AGENT_PORT" => port.to_s },
                  warns: ("DD_AGENT_HOST" if host.empty?))]
      end
    end

    def ports(port)
      { " before" => " #{port}", "octal" => "0#{port.to_s(8)}", "beyond 16 bits" => (port + 65_536).to_s,
        "none" => "0", "negative" => "-1", "a name" => "http", "of Kubernetes" => "tcp://10.3.0.7:8126",
        "empty" => "" }.to_h do |name, value|
        ["DD_TRACE_AGENT_PORT #{name}", Case.new(env: { "DD_TRACE_AGENT_PORT" => value })]
      end.merge(
        "DD_TRACE_AGENT_PORT of Kubernetes beside a URL" => Case.new(
          env: { "DD_TRACE_AGENT_PORT" => "tcp://10.3.0.7:8126", "DD_TRACE_AGENT_URL" => "http://127.0.0.1:#{port}" }
        )
      )
    end

    def urls(port)
      at = "127.0.0.1:#{port}"
      ["HTTP://#{at}", "http://#{at}/", "http://#{at}/prefix?x=1#y", "http://user:secret@#{at}", "unix:apm.socket",
       "unix://apm.socket", "unix:#{File.expand_path("apm.socket")}", "unix://#{File.expand_path("apm.socket")}",
       "UNIX://#{File.expand_path("apm.socket")}", "unix://", "", "ftp://#{at}"].to_h do |url|
        # The port is for URLs that are ignored.
        env = { "DD_TRACE_AGENT_URL" => url }
        env["DD_TRACE_AGENT_PORT"] = port.to_s if url.empty? || url.start_with?("ftp:")
        ["DD_TRACE_AGENT_URL=#{url.sub(port.to_s, "PORT").sub(Dir.pwd, "FOLDER")}", Case.new(env:)]
      end
    end

    def sockets
      { "relative" => "apm.socket", "with dots" => "./../#{File.basename(Dir.pwd)}/apm.socket",
        "a Pathname" => Pathname("apm.socket").expand_path, "with odd characters" => "apm socket %20 ü?#.",
        "with a tilde" => "~apm", "empty" => "", "too long" => "x" * 200, "missing" => "nowhere" }.to_h do |name, path|
        ["c.agent.uds_path #{name}", Case.new(agent: { uds_path: path })]
      end
    end

    def by_code(port)
      { "an empty host" => { host: "", port: }, "a String as port" => { port: port.to_s },
        "a Float as port" => { port: port.to_f }, "an Array as port" => { port: [port] },
        "no TLS" => { port:, use_ssl: nil } }.to_h do |name, agent|
        ["c.agent with #{name}", Case.new(agent:, warns: ("DD_AGENT_HOST" if agent[:host] == ""))]
      end
    end

    def timeouts(port)
      env = { "DD_TRACE_AGENT_PORT" => port.to_s }
      odd = %w[0 99999999]
      [*odd, "0.5", "abc", "", "1_0"].to_h do |value|
        ["DD_TRACE_AGENT_TIMEOUT_SECONDS=#{value}",
         Case.new(env: env.merge("DD_TRACE_AGENT_TIMEOUT_SECONDS" => value),
                  warns: ("DD_TRACE_AGENT_TIMEOUT_SECONDS" if odd.include?(value)))]
      end.merge(
        [-1, 2.7, 10**20, Object.new].to_h do |value|
          ["c.agent.timeout_seconds #{value.is_a?(Numeric) ? value : "an Object"}",
           Case.new(env:, agent: { timeout_seconds: value },
                    warns: ("DD_TRACE_AGENT_TIMEOUT_SECONDS" if [-1, 10**20].include?(value)))]
        end
      )
    end

    def headers(port)
      odd = ["cn-b\u00fccher", "cn-\xFF", "cn-a\n"]
      # Exporters warn of control characters themselves, once in a process: of the last of these.
      ["", " ", "it-false,cn-web", *odd, "cn\na", "x" * 5_000].to_h do |value|
        ["DD_EXTERNAL_ENV=#{value.inspect[0, 20]}",
         Case.new(env: { "DD_TRACE_AGENT_PORT" => port.to_s, "DD_EXTERNAL_ENV" => value },
                  warns: ("DD_EXTERNAL_ENV" if odd.include?(value)))]
      end
    end

    def products(port)
      %w[DD_TRACE_NATIVE_SPAN_EVENTS DD_APM_TRACING_ENABLED].to_h do |name|
        ["#{name}=maybe", Case.new(env: { "DD_TRACE_AGENT_PORT" => port.to_s, name => "maybe" })]
      end
    end
  end
end
