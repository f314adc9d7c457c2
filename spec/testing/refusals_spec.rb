# frozen_string_literal: true

require_relative "../support/testing_agent"

# What an agent would refuse should not pass a test.
RSpec.describe Datadog::NativeExport::Testing::Agent, "refusals" do
  include_context "with requests to a testing agent"

  {
    "another content type" => [[[{}]], { type: "application/json" }, /Content-Type/],
    "a parameter on the content type" => [[[{}]], { type: "application/msgpack; a=b" }, /Content-Type/],
    "an empty body" => ["", {}, /not MessagePack/],
    "a truncated body" => [[[{ "name" => "x" }]].to_msgpack.chop, {}, /not MessagePack/],
    "trailing bytes" => ["#{[].to_msgpack}\x00", {}, /not MessagePack/],
    "a map in place of traces" => [{}, {}, /array of arrays/],
    "spans outside of a trace" => [[{}], {}, /array of arrays/],
    "a span that is no map" => [[[1]], {}, /map/],
    "a key that is no string" => [[[{ 1 => 2 }]], {}, /key/],
    "a string that is not UTF-8" => [[[{ "name" => "\xFF" }]], {}, /name/],
    "a binary in place of a string" => [[[{ "name" => "x".b }]], {}, /name/],
    "an id that is a string" => [[[{ "trace_id" => "1" }]], {}, /trace_id/],
    "an id that is negative" => [[[{ "span_id" => -1 }]], {}, /span_id/],
    "a start that is a float" => [[[{ "start" => 1.0 }]], {}, /start/],
    "an error beyond 32 bits" => [[[{ "error" => 2**31 }]], {}, /error/],
    "a key in meta that is no string" => [[[{ "meta" => { 1 => "v" } }]], {}, /meta/],
    "a number in meta" => [[[{ "meta" => { "k" => 1 } }]], {}, /meta/],
    "a string in metrics" => [[[{ "metrics" => { "k" => "1" } }]], {}, /metrics/],
    "a meta_struct that is not binary" => [[[{ "meta_struct" => { "k" => "v" } }]], {}, /meta_struct/],
    "a meta_struct that is not MessagePack" => [[[{ "meta_struct" => { "k" => "".b } }]], {}, /not Mess/],
    "a span event that is no map" => [[[{ "span_events" => [1] }]], {}, /span_events/]
  }.each do |what, (body, options, reason)|
    it "answers #{what} with a 400 that says why" do
      response = put(body, **options)

      expect([response.code, response.body]).to match(["400", reason])
      expect(agent.requests.last).to have_attributes(error: reason, traces: [])
      expect(agent.traces).to be_empty
    end
  end

  it "answers other paths and methods with a 404" do
    expect(put([[span]], path: "/v0.5/traces").code).to eq("404")
    expect(get("/v0.4/traces").code).to eq("404")
    expect(agent.traces).to be_empty
  end
end
