# frozen_string_literal: true

require "socket"
require_relative "test_agent"

module Support
  # Programs that receive spans and are no Datadog agent: those that `bin/setup --test` installs beside the test agent.
  module Receivers
    PROGRAMS = {
      rotel: "rotel/rotel-agent",
      serverless_compat: "datadog_serverless_compat/bin/linux-amd64/datadog-serverless-compat"
    }.freeze

    # What Datadog's intake gets (`pkg/proto/datadog/trace` of DataDog/datadog-agent), as far as it is looked at: name,
    # number and type of fields. A map is a list of entries on the wire.
    SCHEMA = {
      "AgentPayload" => [["tracer_payloads", 5, "TracerPayload"]],
      "TracerPayload" => [["language_name", 2, :STRING], ["chunks", 6, "TraceChunk"]],
      "TraceChunk" => [["priority", 1, :INT32], ["spans", 3, "Span"]],
      "Span" => [["service", 1, :STRING], ["name", 2, :STRING], ["resource", 3, :STRING], ["trace_id", 4, :UINT64],
                 ["span_id", 5, :UINT64], ["parent_id", 6, :UINT64], ["start", 7, :INT64], ["duration", 8, :INT64],
                 ["error", 9, :INT32], ["meta", 10, "Meta"], ["metrics", 11, "Metric"], ["type", 12, :STRING]],
      "Meta" => [["key", 1, :STRING], ["value", 2, :STRING]],
      "Metric" => [["key", 1, :STRING], ["value", 2, :DOUBLE]]
    }.freeze

    # The path of a program, or nil.
    def self.program(name)
      venv = File.expand_path("../..", TestAgent::EXECUTABLE.to_s)
      Dir["#{venv}/lib/python3*/site-packages/#{PROGRAMS.fetch(name)}"].first
    end

    # Has examples of a group skipped where a program is not at hand, or a library of Ruby that they need.
    def self.for(group, name, needs: nil)
      group.include(self)
      require needs if needs
      raise LoadError, name unless program(name)
    rescue LoadError => e
      group.metadata[:skip] = "not installed: #{e.message}; bin/setup --test does it where it can"
    end

    # A request to Datadog's intake, decoded.
    def self.agent_payload(body) = messages.fetch("AgentPayload").decode(body)

    # The class of each message. Those inside others have none before they are asked for.
    def self.messages
      @messages ||= begin
        @pool = Google::Protobuf::DescriptorPool.new
        @pool.add_serialized_file(Google::Protobuf::FileDescriptorProto.encode(file))
        SCHEMA.keys.to_h { |name| [name, @pool.lookup(name).msgclass] }
      end
    end

    def self.file
      types = SCHEMA.map do |name, fields|
        fields = fields.map do |field, number, type|
          kind = type.is_a?(Symbol) ? { type: :"TYPE_#{type}", label: :LABEL_OPTIONAL } : message(type)
          Google::Protobuf::FieldDescriptorProto.new(name: field, number:, **kind)
        end
        Google::Protobuf::DescriptorProto.new(name:, field: fields)
      end
      Google::Protobuf::FileDescriptorProto.new(name: "intake.proto", syntax: "proto3", message_type: types)
    end

    def self.message(type) = { type: :TYPE_MESSAGE, type_name: ".#{type}", label: :LABEL_REPEATED }

    private_class_method :messages, :file, :message

    # Runs a program while the block does something with it, once it listens on a port.
    def run_receiver(name, *arguments, port:, env: {})
      path = Receivers.program(name)
      # pip doesn't know that it is one.
      File.chmod(0o755, path) unless File.executable?(path)
      Dir.mktmpdir do |folder|
        options = { %i[out err] => File.join(folder, "log"), chdir: folder, unsetenv_others: true }
        pid = spawn({ "PATH" => ENV.fetch("PATH"), **env }, path, *arguments.map(&:to_s), options)
        wait_until { listens?(port) }
        yield
      ensure
        stop(pid)
      end
    end

    private

    def listens?(port)
      TCPSocket.open("127.0.0.1", port, &:close)
      true
    rescue SystemCallError
      false
    end

    def stop(pid)
      Process.kill("KILL", pid)
      Process.wait(pid)
    end
  end
end
