# frozen_string_literal: true

require_relative "../support/answers"
require_relative "../support/faults"

RSpec.describe "Faults: generated answers" do
  include_context "with a faulty agent"

  seed = Integer(ENV.fetch("ANSWERS_SEED", rand(1 << 32)))
  count = Integer(ENV.fetch("ANSWERS", "300"))

  # Sends one payload, which gets the answer, and all later ones another. Returns what became of it, and by how many
  # requests.
  def send_for(answer)
    before = agent.attempts.size
    agent.script(answer.step)
    response = exporter.send_trace_chunks(chunks(1), timeout: 30)
    [response.ok? ? :sent : response.loss, agent.attempts.size - before]
  end

  def expectation(outcome)
    case outcome
    when :unknown then match([anything, be_between(1, 2)])
    when :again then eq([:sent, 2])
    else eq([outcome, 1])
    end
  end

  it "are what their status says, are asked for once, and add up (ANSWERS_SEED=#{seed} ANSWERS=#{count})" do
    answers = Support::Answers.new(seed)
    exporter(agent_timeout: 2)
    count.times do
      answer = answers.answer
      expect(send_for(answer)).to expectation(answer.outcome), answer.step.inspect[0, 400]
      # A request that meets the end of the last connection would be made again.
      agent.disconnect
    end

    expect_counts_to_add_up
  end
end
