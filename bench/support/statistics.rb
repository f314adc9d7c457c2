# frozen_string_literal: true

# What many figures come to.
module Statistics
  module_function

  def median(values)
    sorted = values.sort
    (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2.0
  end

  def percentile(values, share) = values.sort[((values.size - 1) * share).round]

  # The median with the extremes.
  def spread(values)
    middle, lowest, highest = [median(values), *values.minmax].map { |value| format("%<value>.2f", value:) }
    "#{middle} (#{lowest} to #{highest})"
  end
end
