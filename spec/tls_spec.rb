# frozen_string_literal: true

require "openssl"
require "tmpdir"

RSpec.describe "An agent behind TLS" do
  # A certificate, and the key to sign with it. Without an issuer it is an authority's, that signs itself.
  def certificate(name, extensions, issuer = nil)
    key = OpenSSL::PKey::EC.generate("prime256v1")
    certificate = OpenSSL::X509::Certificate.new
    authority, signing_key = issuer || [certificate, key]
    certificate.version = 2
    certificate.serial = rand(1..2**30)
    certificate.subject = OpenSSL::X509::Name.parse("/CN=#{name}")
    certificate.issuer = authority.subject
    certificate.public_key = key
    certificate.not_before = Time.now - 60
    certificate.not_after = Time.now + 3_600
    factory = OpenSSL::X509::ExtensionFactory.new(authority, certificate)
    extensions.each { |extension| certificate.add_extension(factory.create_extension(*extension)) }
    [certificate.sign(signing_key, OpenSSL::Digest.new("SHA256")), key]
  end

  def authority = certificate("authority", [["basicConstraints", "CA:TRUE", true]])

  # Yields the URL of a proxy that speaks TLS before the agent, and the certificate of who vouches for it.
  def behind_tls(agent)
    issuer = authority
    context = OpenSSL::SSL::SSLContext.new
    context.add_certificate(*certificate("agent", [%w[subjectAltName IP:127.0.0.1]], issuer))
    server = TCPServer.new("127.0.0.1", 0)
    proxy = Thread.new do
      secure = OpenSSL::SSL::SSLServer.new(server, context)
      loop { forward(secure.accept, agent) }
    rescue OpenSSL::SSL::SSLError
      retry # A client that doesn't trust it.
    end
    yield "https://127.0.0.1:#{server.addr[1]}", issuer[0]
  ensure
    proxy&.kill
    server&.close
  end

  def forward(client, agent)
    upstream = TCPSocket.new("127.0.0.1", Integer(agent.url[/\d+\z/]))
    [[client, upstream], [upstream, client]].each do |from, to|
      Thread.new { loop { to.write(from.readpartial(65_536)) } rescue to.close } # rubocop:disable Style/RescueModifier
    end
  end

  # In a process of its own, since certificates are read once.
  def export(url, trusted)
    run_ruby(<<~RUBY, url, trusted)
      ENV["SSL_CERT_FILE"] = ARGV[1]
      include Datadog::NativeExport
      exporter = Exporter.new(agent_url: ARGV[0], retry_deadline: 0.5)
      span = Span.new(name: "x", trace_id: 1, span_id: 1, start: 0, duration: 0)
      response = exporter.send_trace_chunks(TraceChunks.new.begin_chunk << span)
      print response.ok? || response.error.message
    RUBY
  end

  def doctor(url, trusted)
    run_ruby("puts Datadog::NativeExport.doctor(agent_url: ARGV[0])", url, env: { "SSL_CERT_FILE" => trusted })[0]
  end

  it "is sent to when its certificate is trusted, and only then" do
    Datadog::NativeExport::Testing::Agent.start do |agent|
      behind_tls(agent) do |url, certificate|
        Dir.mktmpdir do |folder|
          own, other = %w[own other].map { |name| File.join(folder, "#{name}.pem") }
          File.write(own, certificate.to_pem)
          File.write(other, authority[0].to_pem)

          expect(export(url, other)[0]).to match(/cannot be reached.*certificate/i)
          expect(agent.spans).to be_empty
          expect(doctor(url, other)).to match(/^agent +failed .*certificate isn't trusted\n +cure .*SSL_CERT_FILE/)
          expect(export(url, own)[0]).to eq("true")
          expect(agent.spans.size).to eq(1)
          expect(doctor(url, own)).to match(/^agent +ok .*^trace +ok/m)
        end
      end
    end
  end
end
