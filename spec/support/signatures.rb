# frozen_string_literal: true

# Prints what sig/ declares as JSON, in the form in which `interface.rb` prints what there is: all names, and the keys
# of the counters. In a process of its own: the parser of rbs 2 fails once the heap was compacted, which examples do.

require "json"
require "pathname"
require "rbs"

module Support
  # Reads sig/.
  class Signatures
    FOLDER = Pathname(File.expand_path("../../sig", __dir__))

    def initialize
      loader = RBS::EnvironmentLoader.new
      loader.add(path: FOLDER)
      @environment = RBS::Environment.from_loader(loader).resolve_type_names
      @builder = RBS::DefinitionBuilder.new(env: @environment)
    end

    def to_a = modules.map { |mod| short(mod) } + modules.flat_map { |mod| methods_of(mod) } + constants

    # Keys of the record that a method returns.
    def keys_returned(class_name, method)
      of = modules.find { |mod| mod.to_s == class_name }
      @builder.build_instance(of).methods[method].method_types.first.type.return_type.fields.keys
    end

    private

    def modules = @environment.class_decls.keys.select { |name| ours?(name) }
    def constants = @environment.constant_decls.keys.select { |name| ours?(name) }.map { |name| short(name) }
    def ours?(name) = name.to_s.start_with?("::Datadog::NativeExport")
    def short(name) = name.to_s.delete_prefix("::")

    def methods_of(mod)
      { "#" => @builder.build_instance(mod), "." => @builder.build_singleton(mod) }.flat_map do |sign, definition|
        declared = definition.methods.select { |name, method| method.defined_in == mod && name != :new }
        declared.map { |name, method| "#{short(mod)}#{sign}#{name}(#{keywords(method).join(", ")})" }
      end
    end

    def keywords(method)
      types = method.method_types.map(&:type)
      types.flat_map { |type| [*type.required_keywords.keys, *type.optional_keywords.keys] }
           .uniq.sort.map { |name| "#{name}:" }
    end
  end
end

signatures = Support::Signatures.new
puts JSON.generate(names: signatures.to_a,
                   counters: signatures.keys_returned("::Datadog::NativeExport::Exporter", :stats))
