#include "lora/recipe/schema.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "lora/data/chat_template.h"
#include "lora/recipe/adapters_list.h"
#include "lora/recipe/fields.h"
#include "lora/recipe/key_descriptions.h"

namespace lora {
namespace {

using Schema = nlohmann::ordered_json;

Schema any_of(std::vector<Schema> forms) { return {{"anyOf", Schema(std::move(forms))}}; }

Schema or_null(Schema schema) { return any_of({std::move(schema), {{"type", "null"}}}); }

Schema text_schema() { return {{"type", "string"}, {"minLength", 1}}; }

Schema pattern_schema(const std::string& pattern) { return {{"type", "string"}, {"pattern", pattern}}; }

Schema names_schema(const Names& names) {
  Schema exact = Schema::array();
  std::vector<Schema> forms(1);
  for (const std::string& name : names.known) {
    if (name.ends_with("_N")) {
      forms.push_back(pattern_schema("^" + name.substr(0, name.size() - 1) + "[0-9]{1,3}$"));
    } else {
      exact.push_back(name);
    }
  }
  forms[0] = {{"enum", exact}};
  return forms.size() == 1 ? forms[0] : any_of(std::move(forms));
}

Schema integer_schema(const Integers& rule) {
  return {{"type", "integer"}, {"minimum", rule.min}, {"maximum", rule.max}};
}

Schema number_schema(const Numbers& rule) {
  Schema schema = {{"type", "number"}, {rule.above_min ? "exclusiveMinimum" : "minimum", rule.min}};
  if (!std::isinf(rule.max)) schema[rule.below_max ? "exclusiveMaximum" : "maximum"] = rule.max;
  return schema;
}

Schema list_schema(Schema items) { return {{"type", Schema::array({"array", "null"})}, {"items", std::move(items)}}; }

Schema map_schema(Schema values) {
  return {{"type", Schema::array({"object", "null"})}, {"additionalProperties", std::move(values)}};
}

// One overload for each of read_value.
Schema schema_of(bool, Any) { return {{"type", "boolean"}}; }
Schema schema_of(uint64_t, Any) { return {{"type", "integer"}, {"minimum", 0}}; }
Schema schema_of(int64_t, const Integers& rule) { return integer_schema(rule); }
Schema schema_of(double, const Numbers& rule) { return number_schema(rule); }
Schema schema_of(double, ShareOrCount) {
  return any_of({number_schema({.min = 0, .max = 1, .below_max = true}), integer_schema({1})});
}
Schema schema_of(double, Seconds) {
  return any_of({number_schema({.min = 1, .max = 1e7}), pattern_schema("^[0-9.eE+]+ *[smh]$")});
}
Schema schema_of(const std::string&, Any) { return text_schema(); }
Schema schema_of(const std::string&, OrNull) { return or_null(text_schema()); }
Schema schema_of(const std::string&, const Names& rule) { return names_schema(rule); }
Schema schema_of(const std::string&, Template) {
  return any_of({names_schema(template_names()), pattern_schema("\\.jinja$"), pattern_schema("\\{[{%]")});
}
Schema schema_of(const std::string&, DeviceName) { return pattern_schema("^(auto|cpu|cuda(:[0-9]+)?)$"); }
Schema schema_of(const std::string& value, TemplateOrNull) { return or_null(schema_of(value, Template{})); }
Schema schema_of(const std::optional<int64_t>&, const Integers& rule) { return or_null(integer_schema(rule)); }
Schema schema_of(const std::optional<double>&, const Numbers& rule) { return or_null(number_schema(rule)); }
Schema schema_of(const std::optional<int64_t>&, const OrAuto& rule) {
  return any_of({{{"enum", Schema::array({"auto"})}}, integer_schema(rule)});
}
Schema schema_of(const std::optional<int64_t>&, Bytes) {
  return or_null(any_of({number_schema({.min = 1, .max = 1e18}), pattern_schema("^[0-9.eE+]+ *[KMGT]i?B$")}));
}
Schema schema_of(const std::vector<std::string>&, Any) { return list_schema(text_schema()); }
Schema schema_of(const std::vector<std::string>&, const Names& rule) {
  Schema schema = list_schema(names_schema(rule));
  schema["uniqueItems"] = true;
  return schema;
}
Schema schema_of(const std::vector<int64_t>&, const Integers& rule) { return list_schema(integer_schema(rule)); }
Schema schema_of(const ModulePatterns&, Any) {
  return any_of({{{"enum", Schema::array({"all-linear"})}}, text_schema(), list_schema(text_schema())});
}
Schema schema_of(const std::vector<std::pair<std::string, int64_t>>&, const Integers& rule) {
  return map_schema(integer_schema(rule));
}
Schema schema_of(const std::vector<std::pair<std::string, double>>&, const Numbers& rule) {
  return map_schema(number_schema(rule));
}
Schema schema_of(const std::map<std::string, std::string>&, Any) { return map_schema(text_schema()); }
template <typename E>
requires std::is_enum_v<E> Schema schema_of(E value, Any) { return names_schema(names_of(value)); }
template <typename E>
requires std::is_enum_v<E> Schema schema_of(const std::optional<E>&, Any) {
  return or_null(names_schema(names_of(E{})));
}

// A default that says something: an empty list or an unset value does not.
template <typename T>
requires std::is_arithmetic_v<T> Schema default_of(const T& value) { return value; }
template <typename E>
requires std::is_enum_v<E> Schema default_of(const E& value) { return name_of(value); }
Schema default_of(const std::string& value) { return value.empty() ? Schema() : Schema(value); }
Schema default_of(const std::vector<std::string>& value) { return value.empty() ? Schema() : Schema(value); }
Schema default_of(const ModulePatterns& value) {
  return std::holds_alternative<AllLinear>(value) ? Schema("all-linear") : Schema();
}
template <typename T>
Schema default_of(const T&) {
  return {};
}

using Descriptions = std::map<std::string, std::string>;

// Of the map at `path`, which is empty or ends with a dot.
class SchemaMaker {
 public:
  SchemaMaker(std::string path, const Descriptions& descriptions)
      : path_(std::move(path)), descriptions_(descriptions) {}

  template <typename T, typename Rule>
  void value(const std::string& key, T& member, const Rule& rule) {
    Schema schema = schema_of(member, rule);
    if (Schema preset = default_of(member); !preset.is_null()) schema["default"] = std::move(preset);
    put(key, std::move(schema));
  }
  template <typename T, typename Rule>
  void required(const std::string& key, T& member, const Rule& rule) {
    put(key, schema_of(member, rule));
    required_.push_back(key);
  }
  template <typename Section>
  void section(const std::string& key, Section& member) {
    Schema schema = object_of(member, path_ + key + ".", descriptions_);
    if (schema.contains("required")) required_.push_back(key);
    if constexpr (requires { member.action; }) {
      // A rule's action alone stands for the rule with its other defaults.
      schema = any_of({names_schema(names_of(member.action)), std::move(schema)});
    }
    put(key, std::move(schema));
  }
  template <typename Section>
  void sections(const std::string& key, std::vector<Section>&) {
    Section one;
    Schema schema = object_of(one, path_ + key + ".", descriptions_);
    schema["type"] = "object";
    put(key, list_schema(std::move(schema)));
  }

  template <typename Section>
  static Schema object_of(Section& member, const std::string& path, const Descriptions& descriptions) {
    SchemaMaker maker(path, descriptions);
    describe(maker, member);
    return maker.object();
  }

 private:
  void put(const std::string& key, Schema schema) {
    if (const auto found = descriptions_.find(path_ + key); found != descriptions_.end()) {
      schema["description"] = found->second;
    }
    properties_[key] = std::move(schema);
  }

  // A map without keys may be left empty, which is null, unless it needs one.
  Schema object() {
    Schema type = required_.empty() ? Schema::array({"object", "null"}) : Schema("object");
    Schema schema = {
        {"type", std::move(type)}, {"properties", std::move(properties_)}, {"additionalProperties", false}};
    if (!required_.empty()) schema["required"] = required_;
    return schema;
  }

  const std::string path_;
  const Descriptions& descriptions_;
  Schema properties_ = Schema::object(), required_ = Schema::array();
};

// An entry of the list `adapters`, from the properties of a recipe.
Schema entry_schema(const Schema& recipe, const std::string& about_name) {
  Schema properties = {{"name", text_schema()}};
  properties["name"]["description"] = about_name;
  for (const std::string_view section : kOwnSections) {
    const std::string name(section);
    Schema own = recipe.at(name);
    if (name == "training") {
      for (const std::string_view shared : kSharedTraining) own["properties"].erase(std::string(shared));
    }
    properties[name] = std::move(own);
  }
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"additionalProperties", false},
          {"required", Schema::array({"name"})}};
}

}  // namespace

std::string recipe_schema() {
  Recipe recipe;
  Schema schema = {{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", "A recipe of lora-train"}};
  const Descriptions descriptions = key_descriptions();
  schema.update(SchemaMaker::object_of(recipe, "", descriptions));
  schema["properties"]["adapters"] = {{"type", Schema::array({"array", "null"})},
                                      {"minItems", 1},
                                      {"items", entry_schema(schema["properties"], descriptions.at("adapters.name"))},
                                      {"description", descriptions.at("adapters")}};
  return schema.dump(2) + "\n";
}

}  // namespace lora
