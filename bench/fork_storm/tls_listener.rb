# frozen_string_literal: true

require "openssl"

class ForkStorm
  # A listener that speaks TLS, with a certificate of its own for this machine.
  class TLSListener
    # A connection, whose handshake its own thread makes: one that comes to nothing must not hold up the others.
    module Connection
      def gets(*)
        @is_open ||= accept
        super
      rescue OpenSSL::SSL::SSLError => e
        raise IOError, e.message
      end

      def shutdown(how) = to_io.shutdown(how)
    end

    # @param listener [TCPServer]
    # @param path [String] where the certificate is written to, for clients to trust
    def initialize(listener, path)
      @listener = listener
      key = OpenSSL::PKey::EC.generate("prime256v1")
      certificate = self.class.certificate(key)
      File.write(path, certificate.to_pem)
      @context = OpenSSL::SSL::SSLContext.new
      @context.add_certificate(certificate, key)
    end

    def accept
      OpenSSL::SSL::SSLSocket.new(@listener.accept, @context).extend(Connection).tap { |one| one.sync_close = true }
    end

    def self.certificate(key)
      certificate = OpenSSL::X509::Certificate.new
      certificate.version = 2
      certificate.serial = 1
      certificate.subject = certificate.issuer = OpenSSL::X509::Name.parse("/CN=localhost")
      certificate.public_key = key
      certificate.not_before = Time.now - 60
      certificate.not_after = Time.now + 86_400
      names = OpenSSL::X509::ExtensionFactory.new.create_extension("subjectAltName", "DNS:localhost,IP:127.0.0.1")
      certificate.add_extension(names)
      certificate.sign(key, OpenSSL::Digest.new("SHA256"))
    end
  end
end
