#include "lora/inference/json_grammar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>
#include <map>
#include <set>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;
using Kind = JsonNode::Kind;

enum JsonType : unsigned {
  kNull = 1,
  kBoolean = 2,
  kNumbers = 4,
  kStrings = 8,
  kObjects = 16,
  kArrays = 32,
  kAll = 63
};

const std::vector<std::string> kDescribing = {"title",      "description", "default",   "examples",
                                              "$comment",   "$schema",     "$defs",     "definitions",
                                              "deprecated", "readOnly",    "writeOnly", "discriminator"};
const std::vector<std::string> kObjectKeys = {"properties", "required", "additionalProperties"};
const std::vector<std::string> kArrayKeys = {"items", "minItems", "maxItems"};
const std::vector<std::string> kStringKeys = {"minLength", "maxLength"};
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

unsigned type_of(const std::string& text) {
  switch (text[0]) {
    case 'n':
      return kNull;
    case 't':
    case 'f':
      return kBoolean;
    case '"':
      return kStrings;
    case '{':
      return kObjects;
    case '[':
      return kArrays;
    default:
      return kNumbers;
  }
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
    flatten_choices();
    measure_heights();
    for (const auto& [path, alternatives] : one_of_) expect_exclusive(path, alternatives);
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

  static void count(size_t& so_far, size_t more, size_t most, const char* what) {
    if ((so_far += more) <= most) return;
    throw RecipeError("schema: found more than " + std::to_string(most) + " " + what + ", expected at most so many");
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
    for (const auto* keys : {&kDescribing, &kObjectKeys, &kArrayKeys, &kStringKeys, &kValueKeys, &kWholeKeys}) {
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
      count(texts_, 1, kMostJsonTexts, "values");
      count(text_bytes_, texts.back().size(), kMostJsonTextBytes, "bytes of names and values");
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
    JsonNode node = leaf(Kind::kNumber, kNumbers);
    node.is_integer = type == "integer";
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
      count(properties_, 1, kMostJsonProperties, "properties");
      count(text_bytes_, name.size(), kMostJsonTextBytes, "bytes of names and values");
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

  // Afterwards no choice is among the alternatives of another.
  void flatten_choices() {
    std::vector<size_t> seen(nodes_.size(), nodes_.size());
    std::vector<std::vector<size_t>> flat(nodes_.size());
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].kind != Kind::kChoice) continue;
      std::vector<size_t> open = {i};
      seen[i] = i;
      while (!open.empty()) {
        const size_t one = open.back();
        open.pop_back();
        if (nodes_[one].kind != Kind::kChoice) {
          flat[i].push_back(one);
          continue;
        }
        for (auto next = nodes_[one].alternatives.rbegin(); next != nodes_[one].alternatives.rend(); ++next) {
          if (std::exchange(seen[*next], i) != i) open.push_back(*next);
        }
      }
      if (flat[i].size() > kMostJsonAlternatives) {
        throw RecipeError("schema: found a place with " + std::to_string(flat[i].size()) +
                          " alternatives, expected at most " + std::to_string(kMostJsonAlternatives));
      }
      count(alternatives_, flat[i].size(), kMostJsonNodes, "alternatives in all");
    }
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].kind == Kind::kChoice) nodes_[i].alternatives = std::move(flat[i]);
    }
  }

  // A height above kMostJsonLevels stands for a value that cannot be.
  void measure_heights() {
    for (JsonNode& node : nodes_) node.height = kMostJsonLevels + 1;
    for (bool changed = true; std::exchange(changed, false);) {
      for (JsonNode& node : nodes_) {
        const int height = std::min(height_of(node), kMostJsonLevels + 1);
        changed |= height != node.height;
        node.height = height;
      }
    }
  }

  int height_of(const JsonNode& node) const {
    int height = 0;
    switch (node.kind) {
      case Kind::kArray:
        return node.least > 0 ? 1 + nodes_[*node.others].height : 1;
      case Kind::kObject:
        for (const JsonProperty& one : node.properties) {
          if (one.required) height = std::max(height, nodes_[one.value].height);
        }
        return 1 + height;
      case Kind::kChoice:
        height = kMostJsonLevels + 1;
        for (const size_t one : node.alternatives) height = std::min(height, nodes_[one].height);
        return height;
      default:
        return 0;
    }
  }

  std::vector<size_t> leaves(size_t node) const {
    return nodes_[node].kind == Kind::kChoice ? nodes_[node].alternatives : std::vector<size_t>{node};
  }

  void expect_exclusive(const std::string& path, const std::vector<size_t>& alternatives) {
    for (size_t i = 0; i < alternatives.size(); ++i) {
      for (size_t j = i + 1; j < alternatives.size(); ++j) {
        if (exclude(alternatives[i], alternatives[j], /*within=*/true)) continue;
        fail(path, "'oneOf': a value may keep to both its schemas " + std::to_string(i + 1) + " and " +
                       std::to_string(j + 1) +
                       "; expected types that differ or a required property that does, or 'anyOf'");
      }
    }
  }

  // Whether no value keeps to both. `within`: compare the properties of objects too.
  bool exclude(size_t a, size_t b, bool within) {
    for (const size_t x : leaves(a)) {
      for (const size_t y : leaves(b)) {
        count(comparisons_, 1, kMostJsonComparisons, "comparisons of the schemas of 'oneOf'");
        if ((nodes_[x].types & nodes_[y].types) != 0 && !leaves_exclude(nodes_[x], nodes_[y], within)) return false;
      }
    }
    return true;
  }

  bool leaves_exclude(const JsonNode& a, const JsonNode& b, bool within) {
    if (a.kind == Kind::kTexts && b.kind == Kind::kTexts) {
      count(comparisons_, a.texts.size() + b.texts.size(), kMostJsonComparisons,
            "comparisons of the schemas of 'oneOf'");
      const std::set<std::string> values = canonical(a.texts), others = canonical(b.texts);
      return std::ranges::none_of(values, [&](const std::string& value) { return others.contains(value); });
    }
    // Both are objects and nothing else.
    if (!within || a.types != kObjects || b.types != kObjects || a.kind != b.kind) return false;
    const auto is_before = [](const JsonProperty& property, const std::string& key) { return property.key < key; };
    return std::ranges::any_of(a.properties, [&](const JsonProperty& one) {
      if (!one.required) return false;
      const auto other =
          std::lower_bound(b.by_key.begin(), b.by_key.end(), one.key,
                           [&](size_t i, const std::string& key) { return is_before(b.properties[i], key); });
      return other != b.by_key.end() && b.properties[*other].key == one.key && b.properties[*other].required &&
             exclude(one.value, b.properties[*other].value, /*within=*/false);
    });
  }

  // 1 and 1.0 are one value. Arrays and objects, within which such numbers may be, are taken for one.
  static std::set<std::string> canonical(const std::vector<std::string>& texts) {
    std::set<std::string> values;
    for (const std::string& text : texts) {
      const unsigned type = type_of(text);
      if (type == kObjects || type == kArrays) {
        values.insert("[{");
      } else {
        values.insert(type == kNumbers ? Json(parse_json<Json>(text).get<double>()).dump() : text);
      }
    }
    return values;
  }

  const Json& schema_;
  JsonGrammar nodes_;
  std::map<std::string, size_t> targets_;
  std::deque<std::string> open_;  // targets that are not read yet
  std::optional<size_t> any_;
  std::vector<std::pair<std::string, std::vector<size_t>>> one_of_;
  size_t texts_ = 0, text_bytes_ = 0, properties_ = 0, alternatives_ = 0, comparisons_ = 0;
};

}  // namespace

JsonGrammar read_json_schema(const Json& schema) { return SchemaReader(schema).read(); }

JsonGrammar any_json_object() {
  static const Json schema = {{"type", "object"}};
  return read_json_schema(schema);
}

}  // namespace lora
