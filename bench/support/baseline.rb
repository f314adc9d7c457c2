# frozen_string_literal: true

require "rbconfig"

# The extension that bench/baseline/ is compiled to.
library = File.expand_path("../../target/release/libbaseline.so", __dir__)
folder = File.expand_path("../../tmp/bench", __dir__)
require "fileutils"
FileUtils.mkdir_p(folder)
# Ruby wants the name without the prefix. Other processes may be loading it.
FileUtils.ln_sf(library, File.join(folder, "baseline.so"))
require File.join(folder, "baseline.so")
