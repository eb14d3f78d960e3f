#include "lora/inference/json_grammar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>
#include <map>

#include "lora/inference/json_grammar_passes.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;
using Kind = JsonNode::Kind;

const std::vector<std::string> kDescribing = {"title",      "description", "default",   "examples",
                                              "$comment",   "$schema",     "$defs",     "definitions",
                                              "deprecated", "readOnly",    "writeOnly", "discriminator"};
const std::vector<std::string> kObjectKeys = {"properties", "required", "additionalProperties"};
const std::vector<std::string> kArrayKeys = {"items", "minItems", "maxItems"};
const std::vector<std::string> kStringKeys = {"minLength", "maxLength"};
const std::vector<std::string> kNumberKeys = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"};
const std::vector<std::string> kValueKeys = {"enum", "const"};
const std::vector<std::string> kWholeKeys = {"anyOf", "oneOf", "allOf", "$ref"};  // stand alone

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

[[noreturn]] void fail(const std::string& path, const std::string& problem) {
  throw RecipeError("schema at " + path + ": " + problem);
}

// The place of a part of a schema, for errors: not longer than a person reads.
std::string below(const std::string& path, const std::string& part) {
  return path.size() > 200 ? path : path + "/" + part.substr(0, 60);
}

bool is_of(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number() && value.get<double>() == std::floor(value.get<double>());
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

JsonNode leaf(Kind kind, unsigned types) {
  JsonNode node;
  node.kind = kind;
  node.types = types;
  return node;
}

JsonNode texts_node(std::vector<std::string> texts, unsigned types) {
  JsonNode node = leaf(Kind::kTexts, types);
  std::ranges::sort(texts);
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  node.texts = std::move(texts);
  return node;
}

class SchemaReader {
 public:
  explicit SchemaReader(const Json& schema) : schema_(schema) {}

  JsonGrammar read() {
    target("#", "#");
    while (!open_.empty()) {
      const std::string pointer = open_.front();
      open_.pop_front();
      JsonNode node = read_schema(resolved(pointer, pointer), pointer);
      nodes_[targets_.at(pointer)] = std::move(node);
    }
    flatten_choices(nodes_);
    measure_heights(nodes_);
    JsonExclusion exclusion(nodes_);
    for (const auto& [path, alternatives] : one_of_) expect_exclusive(exclusion, path, alternatives);
    if (nodes_[0].height > kMostJsonLevels) {
      fail("#", "found no value of at most " + std::to_string(kMostJsonLevels) +
                    " levels that keeps to it; does it contain itself without an end?");
    }
    return std::move(nodes_);
  }

 private:
  size_t add(JsonNode node) {
    if (nodes_.size() == kMostJsonNodes) {
      throw RecipeError("schema: found more than " + std::to_string(kMostJsonNodes) +
                        " parts, expected at most so many");
    }
    nodes_.push_back(std::move(node));
    return nodes_.size() - 1;
  }

  JsonNode any_object() {
    JsonNode object = leaf(Kind::kObject, kObjects);
    object.most = kMostJsonNameCharacters;
    object.next_required = {0};
    object.others = any();
    return object;
  }

  // A node of any value.
  size_t any() {
    if (any_) return *any_;
    const size_t whole = add({});
    any_ = whole;
    JsonNode list = leaf(Kind::kArray, kArrays);
    list.others = whole;
    std::vector<JsonNode> leaves = {any_object(), std::move(list), leaf(Kind::kString, kStrings),
                                    leaf(Kind::kNumber, kNumbers),
                                    texts_node({"null", "true", "false"}, kNull | kBoolean)};
    nodes_[whole] = choice(std::move(leaves), kAll);
    return whole;
  }

  JsonNode choice(std::vector<JsonNode> nodes, unsigned types) {
    JsonNode node = leaf(Kind::kChoice, types);
    for (JsonNode& one : nodes) node.alternatives.push_back(add(std::move(one)));
    return node;
  }

  // The node of the place that a reference names.
  size_t target(const std::string& pointer, const std::string& path) {
    if (const auto known = targets_.find(pointer); known != targets_.end()) return known->second;
    if (!pointer.starts_with("#") || (pointer.size() > 1 && pointer[1] != '/') || pointer.find('%') != pointer.npos) {
      fail(path, "'$ref' is '" + pointer.substr(0, 200) + "', expected a place in this schema: \"#/$defs/NAME\"");
    }
    resolved(pointer, path);
    open_.push_back(pointer);
    return targets_[pointer] = add({});
  }

  // RFC 6901.
  const Json& resolved(const std::string& pointer, const std::string& path) const {
    const Json* place = &schema_;
    for (size_t at = 1; place && at < pointer.size();) {
      const size_t end = std::min(pointer.find('/', at + 1), pointer.size());
      std::string name = pointer.substr(at + 1, end - at - 1);
      at = end;
      for (const auto& [mark, meaning] : {std::pair("~1", "/"), std::pair("~0", "~")}) {
        for (size_t found = 0; (found = name.find(mark, found)) != name.npos; ++found) name.replace(found, 2, meaning);
      }
      if (place->is_object()) {
        // Its keys are looked through one by one.
        if (place->size() > kMostJsonProperties) {
          fail(path, "'$ref' leads into an object of more than " + std::to_string(kMostJsonProperties) +
                         " keys, expected at most so many");
        }
        const auto found = place->find(name);
        place = found == place->end() ? nullptr : &*found;
      } else {
        size_t index = 0;
        const auto [rest, problem] = std::from_chars(name.data(), name.data() + name.size(), index);
        const bool good = problem == std::errc() && rest == name.data() + name.size() && place->is_array();
        place = good && index < place->size() ? &(*place)[index] : nullptr;
      }
    }
    if (!place) fail(path, "'$ref' is '" + pointer.substr(0, 200) + "', and there is no such place in the schema");
    return *place;
  }

  size_t add_schema(const Json& schema, const std::string& path) {
    JsonNode node = read_schema(schema, path);
    const bool is_other = node.kind == Kind::kChoice && node.alternatives.size() == 1;
    return is_other ? node.alternatives[0] : add(std::move(node));
  }

  JsonNode read_schema(const Json& schema, const std::string& path) {
    if (schema.is_boolean()) {
      JsonNode node = leaf(Kind::kChoice, schema.get<bool>() ? unsigned{kAll} : 0);
      if (schema.get<bool>()) node.alternatives = {any()};
      return node;
    }
    if (!schema.is_object()) fail(path, std::string("found ") + schema.type_name() + ", expected a schema, an object");
    expect_known(schema, path);
    for (const std::string& key : kWholeKeys) {
      if (schema.contains(key)) return read_whole(schema, key, path);
    }
    if (schema.contains("enum") || schema.contains("const")) return read_values(schema, path);

    const bool typed = schema.contains("type");
    const std::vector<std::string> types = typed ? type_names(schema["type"], path) : implied_types(schema);
    if (types.empty()) {
      JsonNode node = leaf(Kind::kChoice, kAll);
      node.alternatives = {any()};
      return node;
    }
    std::vector<JsonNode> leaves;
    unsigned all = 0;
    for (const std::string& type : types) {
      leaves.push_back(read_type(schema, type, path));
      if (!typed) leaves.back().types = kAll;
      all |= leaves.back().types;
    }
    return leaves.size() == 1 ? std::move(leaves[0]) : choice(std::move(leaves), all);
  }

  static void expect_known(const Json& schema, const std::string& path) {
    std::vector<std::string> known = {"type"};
    for (const auto* keys :
         {&kDescribing, &kObjectKeys, &kArrayKeys, &kStringKeys, &kNumberKeys, &kValueKeys, &kWholeKeys}) {
      known.insert(known.end(), keys->begin(), keys->end());
    }
    for (const auto& item : schema.items()) {
      const std::string& key = item.key();
      if (has(known, key) || (key == "$id" && path == "#")) continue;
      fail(path,
           "'" + key.substr(0, 200) + "' is not a keyword that answers can be held to" + did_you_mean(key, known));
    }
  }

  // No constraints beside the keyword, but `allowed` ones.
  static void expect_alone(const Json& schema, const std::string& keyword, const std::vector<std::string>& allowed,
                           const std::string& path) {
    for (const auto& item : schema.items()) {
      const std::string& key = item.key();
      if (key == keyword || key == "$id" || has(kDescribing, key) || has(allowed, key)) continue;
      fail(path, "'" + key + "' stands beside '" + keyword + "', expected one of them");
    }
  }

  JsonNode read_whole(const Json& schema, const std::string& keyword, const std::string& path) {
    expect_alone(schema, keyword, {}, path);
    const Json& value = schema[keyword];
    JsonNode node = leaf(Kind::kChoice, kAll);
    if (keyword == "$ref") {
      if (!value.is_string()) fail(path, "'$ref' is no text");
      node.alternatives = {target(value.get<std::string>(), path)};
      return node;
    }
    if (!value.is_array() || value.empty()) fail(path, "'" + keyword + "' is no list of schemas");
    if (keyword == "allOf" && value.size() > 1) fail(path, "'allOf' has several schemas, expected one");
    for (size_t i = 0; i < value.size(); ++i) {
      node.alternatives.push_back(add_schema(value[i], below(below(path, keyword), std::to_string(i))));
    }
    if (keyword == "oneOf") one_of_.emplace_back(path, node.alternatives);
    return node;
  }

  JsonNode read_values(const Json& schema, const std::string& path) {
    const bool listed = schema.contains("enum");
    expect_alone(schema, listed ? "enum" : "const", {"type", "const"}, path);
    if (listed && !schema["enum"].is_array()) fail(path, "'enum' is no list");
    const Json values = listed ? schema["enum"] : Json::array({schema["const"]});
    const std::vector<std::string> types =
        schema.contains("type") ? type_names(schema["type"], path) : std::vector<std::string>();
    std::vector<std::string> texts;
    unsigned found = 0;
    for (const Json& value : values) {
      const auto fits = [&](const std::string& type) { return is_of(value, type); };
      if (!types.empty() && std::ranges::none_of(types, fits)) continue;
      if (schema.contains("const") && value != schema["const"]) continue;
      texts.push_back(value.dump());
      found |= type_of(texts.back());
      count_of_schema(texts_, 1, kMostJsonTexts, "values");
      count_of_schema(text_bytes_, texts.back().size(), kMostJsonTextBytes, "bytes of names and values");
    }
    if (texts.empty()) fail(path, "no value keeps to 'type', 'enum' and 'const' together");
    return texts_node(std::move(texts), found);
  }

  static std::vector<std::string> type_names(const Json& value, const std::string& path) {
    static const std::vector<std::string> known = {"null", "boolean", "object", "array", "string", "number", "integer"};
    std::vector<std::string> names;
    for (const Json& one : value.is_array() ? value : Json::array({value})) {
      if (!one.is_string() || !has(known, one.get<std::string>())) {
        fail(path, "'type' is " + one.dump().substr(0, 60) +
                       (one.is_string() ? did_you_mean(one.get<std::string>(), known) : "") + ", expected one of " +
                       listed(known));
      }
      if (!has(names, one.get<std::string>())) names.push_back(one.get<std::string>());
    }
    if (names.empty()) fail(path, "'type' is an empty list");
    if (has(names, "number")) std::erase(names, "integer");
    return names;
  }

  // Of a schema that has no `type`.
  static std::vector<std::string> implied_types(const Json& schema) {
    std::vector<std::string> names;
    const auto imply = [&](const std::vector<std::string>& keys, const char* type) {
      if (std::ranges::any_of(keys, [&](const std::string& key) { return schema.contains(key); }))
        names.push_back(type);
    };
    imply(kObjectKeys, "object");
    imply(kArrayKeys, "array");
    imply(kStringKeys, "string");
    imply(kNumberKeys, "number");
    return names;
  }

  JsonNode read_type(const Json& schema, const std::string& type, const std::string& path) {
    if (type == "null") return texts_node({"null"}, kNull);
    if (type == "boolean") return texts_node({"true", "false"}, kBoolean);
    if (type == "object") return read_object(schema, path);
    if (type == "array") {
      JsonNode node = leaf(Kind::kArray, kArrays);
      read_bounds(schema, "minItems", "maxItems", node, path);
      node.others = schema.contains("items") ? add_schema(schema["items"], below(path, "items")) : any();
      return node;
    }
    if (type == "string") {
      JsonNode node = leaf(Kind::kString, kStrings);
      read_bounds(schema, "minLength", "maxLength", node, path);
      return node;
    }
    return read_number(schema, type == "integer", path);
  }

  static JsonNode read_number(const Json& schema, bool is_integer, const std::string& path) {
    JsonNode node = leaf(Kind::kNumber, kNumbers);
    node.is_integer = is_integer;
    double least = -std::numeric_limits<double>::infinity(), most = -least;
    bool is_bounded = false;
    for (const std::string& key : kNumberKeys) {
      const auto found = schema.find(key);
      if (found == schema.end()) continue;
      if (!found->is_number()) fail(path, "'" + key + "' is no number");
      is_bounded = true;
      const double bound = found->get<double>();
      if (key == "minimum") least = std::max(least, bound);
      if (key == "exclusiveMinimum") least = std::max(least, std::nextafter(bound, HUGE_VAL));
      if (key == "maximum") most = std::min(most, bound);
      if (key == "exclusiveMaximum") most = std::min(most, std::nextafter(bound, -HUGE_VAL));
    }
    if (!is_bounded) return node;
    node.range = DecimalRange(least, most, is_integer);
    if (node.range->is_empty()) {
      fail(path, "no number of at most " + std::to_string(kMostDecimalDigits) +
                     " digits before the point and behind it is within its bounds");
    }
    return node;
  }

  static void read_bounds(const Json& schema, const char* least, const char* most, JsonNode& node,
                          const std::string& path) {
    const auto read = [&](const char* key, int64_t& bound) {
      if (!schema.contains(key)) return;
      try {
        bound = integer_of(schema[key]);
      } catch (const nlohmann::detail::exception&) {
        bound = -1;
      }
      if (bound < 0) fail(path, std::string("'") + key + "' is no integer of at least 0");
    };
    read(least, node.least);
    read(most, node.most);
    if (node.least > node.most) fail(path, std::string("'") + least + "' is above '" + most + "'");
  }

  JsonNode read_object(const Json& schema, const std::string& path) {
    JsonNode node = leaf(Kind::kObject, kObjects);
    const auto add_property = [&](const std::string& name, size_t value) {
      count_of_schema(properties_, 1, kMostJsonProperties, "properties");
      count_of_schema(text_bytes_, name.size(), kMostJsonTextBytes, "bytes of names and values");
      node.properties.push_back({Json(name).dump(), value, false});
    };
    std::map<std::string, size_t> places;
    if (const auto properties = schema.find("properties"); properties != schema.end()) {
      if (!properties->is_object()) fail(path, "'properties' is no object");
      for (const auto& item : properties->items()) {
        places[item.key()] = node.properties.size();
        add_property(item.key(), add_schema(item.value(), below(below(path, "properties"), item.key())));
      }
    }
    const auto additional = schema.find("additionalProperties");
    const bool is_open = additional == schema.end() || *additional != false;
    if (additional != schema.end()) {
      if (is_open) node.others = add_schema(*additional, below(path, "additionalProperties"));
    } else if (node.properties.empty()) {
      node.others = any();
    }
    if (const auto required = schema.find("required"); required != schema.end()) {
      if (!required->is_array()) fail(path, "'required' is no list");
      for (const Json& one : *required) {
        if (!one.is_string()) fail(path, "'required' is no list of texts");
        const std::string name = one.get<std::string>();
        if (!places.contains(name)) {
          if (!is_open) fail(path, "'" + name.substr(0, 200) + "' is required and not allowed");
          places[name] = node.properties.size();
          add_property(name, node.others ? *node.others : any());
        }
        node.properties[places[name]].required = true;
      }
    }
    node.most = kMostJsonNameCharacters;
    for (size_t i = 0; i < node.properties.size(); ++i) {
      node.by_key.push_back(i);
      node.most = std::max(node.most, std::ssize(node.properties[i].key));  // more than its characters
    }
    std::ranges::sort(node.by_key, {}, [&](size_t i) -> const std::string& { return node.properties[i].key; });
    node.next_required.assign(node.properties.size() + 1, node.properties.size());
    for (size_t i = node.properties.size(); i-- > 0;) {
      node.next_required[i] = node.properties[i].required ? i : node.next_required[i + 1];
    }
    return node;
  }

  static void expect_exclusive(JsonExclusion& exclusion, const std::string& path,
                               const std::vector<size_t>& alternatives) {
    for (size_t i = 0; i < alternatives.size(); ++i) {
      for (size_t j = i + 1; j < alternatives.size(); ++j) {
        if (exclusion.exclude(alternatives[i], alternatives[j])) continue;
        fail(path, "'oneOf': a value may keep to both its schemas " + std::to_string(i + 1) + " and " +
                       std::to_string(j + 1) +
                       "; expected types that differ or a required property that does, or 'anyOf'");
      }
    }
  }

  const Json& schema_;
  JsonGrammar nodes_;
  std::map<std::string, size_t> targets_;
  std::deque<std::string> open_;  // targets that are not read yet
  std::optional<size_t> any_;
  std::vector<std::pair<std::string, std::vector<size_t>>> one_of_;
  size_t texts_ = 0, text_bytes_ = 0, properties_ = 0;
};

}  // namespace

JsonGrammar read_json_schema(const Json& schema) { return SchemaReader(schema).read(); }

JsonGrammar any_json_object() {
  static const Json schema = {{"type", "object"}};
  return read_json_schema(schema);
}

}  // namespace lora
