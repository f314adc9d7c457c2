# frozen_string_literal: true

require "net/http"
require "openssl"
require "socket"

module Datadog
  module NativeExport
    class Doctor
      # What to do about what goes wrong.
      module Cures
        UNREACHABLE = "The agent or collector doesn't answer: see there."
        NO_INFO = "Old agents have no /info, nor have other servers. Is this the agent's port (8126)? Update the agent."
        NOT_AN_AGENT = "Is this the agent's port (8126), or that of another server?"
        DEFECT = "This is a defect of datadog-native-export: please report it."

        REFUSED = "Nothing listens there. Is the agent running, with apm_config.enabled? Is the address right " \
                  "(DD_TRACE_AGENT_URL, DD_AGENT_HOST)? Within a container, 127.0.0.1 is the container itself."
        HANGS = "Something takes connections there but doesn't answer in time, or a firewall drops packets. Is the " \
                "address right? Is the agent overloaded (then raise DD_TRACE_AGENT_TIMEOUT_SECONDS)?"
        UNKNOWN_NAME = "Is the name spelt right (DD_TRACE_AGENT_URL, DD_AGENT_HOST), and known to the DNS of this " \
                       "machine or container?"
        NO_ROUTE = "There is no way to this address. Is it right, and is the network up?"
        CERTIFICATE = "The certificate isn't trusted, or is for another name. Name the file of the authority that " \
                      "signed it in SSL_CERT_FILE, or correct the host in the URL."
        NO_TLS = "The server doesn't speak TLS: use http:// in place of https://."
        NOT_HTTP = "What listens there is no Datadog agent, or speaks TLS (then use https://). Is the port right?"
        NO_SOCKET = "Is the agent running, with apm_config.receiver_socket set to this path? A container needs the " \
                    "socket's folder mounted, such as /var/run/datadog."
        STALE_SOCKET = "Is the agent running, with apm_config.receiver_socket set to this path, and is the file a " \
                       "socket? In a container mount its folder, since each start of the agent makes it anew."
        NOT_ALLOWED = "It takes permission to write the socket and to enter its folder: add the user to the agent's " \
                      "group (dd-agent), or change the mode."

        STATUSES = {
          401 => "The credentials are missing or wrong: set them by the option headers (for a collector otlp_headers).",
          403 => "The server, or a proxy before it, doesn't let this request pass. Is the address right? If it wants " \
                 "credentials, set them by the option headers (for a collector otlp_headers).",
          404 => "The server has no /v0.4/traces. Is it a Datadog agent, new enough, and is the port right?",
          413 => "The server, or a proxy before it, takes no bodies of even this size: raise its limit.",
          415 => "The server doesn't take MessagePack: it is no Datadog agent.",
          429 => "The agent is overloaded: see its log, and its limits of memory and CPU."
        }.freeze
        # What is different where spans go by OTLP.
        COLLECTOR = {
          REFUSED => "Nothing listens there. Is the collector running, with its receiver of OTLP over HTTP? Is the " \
                     "address right (otlp_endpoint, OTEL_EXPORTER_OTLP_ENDPOINT), and the port (4318)? Within a " \
                     "container, 127.0.0.1 is the container itself.",
          HANGS => "Something takes connections there but doesn't answer in time, or a firewall drops packets. Is " \
                   "the address right? Is the collector overloaded (then raise OTEL_EXPORTER_OTLP_TIMEOUT)?",
          UNKNOWN_NAME => "Is the name spelt right (otlp_endpoint, OTEL_EXPORTER_OTLP_ENDPOINT), and known to the " \
                          "DNS of this machine or container?",
          UNREACHABLE => "Something listens there, but doesn't answer OTLP over HTTP. Is this the collector's port " \
                         "for gRPC (4317)? That for HTTP is 4318.",
          429 => "The collector is overloaded: see its log, and its limits of memory and CPU.",
          404 => "The collector has nothing at this path. The usual one is /v1/traces: correct the URL.",
          415 => "The collector doesn't take this encoding: try another otlp_protocol."
        }.freeze

        class << self
          # @param error [Exception] of a connection or a request
          # @param url [String]
          # @return [(String, String)] the symptom and its cure
          def of_error(error, url)
            url.start_with?("unix://") ? of_socket_error(error) : of_network_error(error)
          end

          # @param collector [Boolean] whether the request was sent by OTLP
          # @return [String]
          def of_status(status, collector: false)
            return COLLECTOR[status] if collector && COLLECTOR.key?(status)

            STATUSES.fetch(status) do
              status >= 500 ? "The receiver fails, or a proxy doesn't reach it: see their logs." : NOT_HTTP
            end
          end

          # @param message [String] of the error with which the extension couldn't be loaded
          # @return [String]
          def of_load_error(message)
            build = "Run `gem pristine datadog-native-export`, or `rake compile` in a checkout, with Rust, a C " \
                    "compiler and libclang installed."
            return "Unset #{Library::VARIABLE}." if message.include?("switches the native extension off")
            return "It was not compiled for this Ruby. #{build}" if message.start_with?("no native extension")

            "It was compiled for another Ruby, C library or processor, or is broken. #{build} An image has to be " \
              "built with the Ruby and the system that it runs with."
          end

          # What comes from elsewhere may have control characters, or no end.
          # @return [String]
          def printable(text)
            text.to_s.dup.force_encoding(Encoding::UTF_8).scrub("?").gsub(/[[:cntrl:]]+/, " ").strip[0, 500]
          end

          private

          def of_socket_error(error)
            case error
            when Errno::ENOENT, Errno::ENOTDIR then ["there is no such socket", NO_SOCKET]
            when Errno::EACCES, Errno::EPERM then ["this user may not connect to the socket", NOT_ALLOWED]
            when Errno::ECONNREFUSED, Errno::ENOTSOCK then ["nothing listens on the socket", STALE_SOCKET]
            else of_network_error(error)
            end
          end

          def of_network_error(error)
            case error
            when Errno::ECONNREFUSED then ["the connection is refused", REFUSED]
            when Timeout::Error, Errno::ETIMEDOUT then ["no answer in time", HANGS]
            when SocketError then ["the host's name can't be looked up", UNKNOWN_NAME]
            when Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::EADDRNOTAVAIL then ["there is no route", NO_ROUTE]
            when OpenSSL::SSL::SSLError then of_tls_error(error)
            when EOFError, Errno::ECONNRESET, Errno::EPIPE then ["the connection is closed without an answer", NOT_HTTP]
            when Net::HTTPBadResponse, Net::ProtocolError then ["the answer isn't HTTP", NOT_HTTP]
            else ["#{error.class}: #{printable(error.message)}", DEFECT]
            end
          end

          def of_tls_error(error)
            return ["the certificate isn't trusted", CERTIFICATE] if error.message.match?(/certificate|hostname/i)

            ["TLS fails: #{printable(error.message)}", NO_TLS]
          end
        end
      end
    end
  end
end
