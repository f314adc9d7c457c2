# frozen_string_literal: true

# Prints what a Ruby program finds of this gem, as JSON: an Array of `Class`, `Class::CONSTANT`, `Class.method(key:)`
# and `Class#method(key:)`. Run in a child, since it loads the stand-in for dd-trace-rb.

require_relative "tracer_stand_in"
require "datadog/native_export"
require "datadog/native_export/testing"
require "json"

def call(sign, method)
  parameters = method.parameters
  # Then Ruby doesn't say which keywords there are.
  return "#{sign}#{method.name}(**)" if parameters.any? { |kind, _| kind == :keyrest }

  keywords = parameters.filter_map { |kind, name| "#{name}:" if %i[key keyreq].include?(kind) }
  "#{sign}#{method.name}(#{keywords.sort.join(", ")})"
end

def methods_of(mod)
  names = mod.public_instance_methods(false)
  # A Struct's own members.
  names += mod.superclass.public_instance_methods(false) if mod.is_a?(Class) && mod.superclass.name.nil?
  names << :initialize if mod.is_a?(Class) && mod.respond_to?(:new) && mod.private_method_defined?(:initialize, false)
  names.map { |name| call("#", mod.instance_method(name)) } +
    mod.singleton_methods(false).map { |name| call(".", mod.method(name)) }
end

def interface(mod)
  constants = mod.constants(false).to_h { |name| [name, mod.const_get(name)] }
  modules, values = constants.partition { |_, value| value.is_a?(Module) }
  [mod.name, *methods_of(mod).map { |method| "#{mod}#{method}" }, *values.map { |name, _| "#{mod}::#{name}" }] +
    modules.flat_map { |_, inner| interface(inner) }
end

puts JSON.generate(interface(Datadog::NativeExport))
