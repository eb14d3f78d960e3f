#include "lora/inference/json_grammar_passes.h"

#include <algorithm>
#include <set>
#include <utility>

#include "models/base/error.h"
#include "models/base/json.h"

namespace lora {
namespace {

using Kind = JsonNode::Kind;

// 1 and 1.0 are one value. Arrays and objects, within which such numbers may be, are taken for one.
std::set<std::string> canonical(const std::vector<std::string>& texts) {
  std::set<std::string> values;
  for (const std::string& text : texts) {
    const JsonType type = type_of(text);
    if (type == kObjects || type == kArrays) {
      values.insert("[{");
    } else {
      values.insert(type == kNumbers ? nlohmann::json(parse_json<nlohmann::json>(text).get<double>()).dump() : text);
    }
  }
  return values;
}

int height_of(const JsonNode& node, const JsonGrammar& nodes) {
  int height = 0;
  switch (node.kind) {
    case Kind::kArray:
      return node.least > 0 ? 1 + nodes[*node.others].height : 1;
    case Kind::kObject:
      for (const JsonProperty& one : node.properties) {
        if (one.required) height = std::max(height, nodes[one.value].height);
      }
      return 1 + height;
    case Kind::kChoice:
      height = kMostJsonLevels + 1;
      for (const size_t one : node.alternatives) height = std::min(height, nodes[one].height);
      return height;
    default:
      return 0;
  }
}

// The nodes that are no choices below the choice i. `seen`: by node, the last choice it was met from.
std::vector<size_t> leaves_of(size_t i, const JsonGrammar& nodes, std::vector<size_t>& seen) {
  std::vector<size_t> found, open = {i};
  seen[i] = i;
  while (!open.empty()) {
    const size_t one = open.back();
    open.pop_back();
    if (nodes[one].kind != Kind::kChoice) {
      found.push_back(one);
      continue;
    }
    for (auto next = nodes[one].alternatives.rbegin(); next != nodes[one].alternatives.rend(); ++next) {
      if (std::exchange(seen[*next], i) != i) open.push_back(*next);
    }
  }
  return found;
}

}  // namespace

JsonType type_of(const std::string& text) {
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

void count_of_schema(size_t& so_far, size_t more, size_t most, const char* what) {
  if ((so_far += more) <= most) return;
  throw RecipeError("schema: found more than " + std::to_string(most) + " " + what + ", expected at most so many");
}

void flatten_choices(JsonGrammar& nodes) {
  size_t all = 0;
  std::vector<size_t> seen(nodes.size(), nodes.size());
  std::vector<std::vector<size_t>> flat(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].kind != Kind::kChoice) continue;
    flat[i] = leaves_of(i, nodes, seen);
    if (flat[i].size() > kMostJsonAlternatives) {
      throw RecipeError("schema: found a place with " + std::to_string(flat[i].size()) +
                        " alternatives, expected at most " + std::to_string(kMostJsonAlternatives));
    }
    count_of_schema(all, flat[i].size(), kMostJsonNodes, "alternatives in all");
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].kind == Kind::kChoice) nodes[i].alternatives = std::move(flat[i]);
  }
}

void measure_heights(JsonGrammar& nodes) {
  for (JsonNode& node : nodes) node.height = kMostJsonLevels + 1;
  for (bool changed = true; std::exchange(changed, false);) {
    for (JsonNode& node : nodes) {
      const int height = std::min(height_of(node, nodes), kMostJsonLevels + 1);
      changed |= height != node.height;
      node.height = height;
    }
  }
}

std::vector<size_t> JsonExclusion::leaves(size_t node) const {
  return nodes_[node].kind == Kind::kChoice ? nodes_[node].alternatives : std::vector<size_t>{node};
}

void JsonExclusion::compare(size_t count) {
  count_of_schema(comparisons_, count, kMostJsonComparisons, "comparisons of the schemas of 'oneOf'");
}

// `within`: compare the properties of objects too.
bool JsonExclusion::exclude(size_t a, size_t b, bool within) {
  for (const size_t x : leaves(a)) {
    for (const size_t y : leaves(b)) {
      compare(1);
      if ((nodes_[x].types & nodes_[y].types) != 0 && !leaves_exclude(nodes_[x], nodes_[y], within)) return false;
    }
  }
  return true;
}

bool JsonExclusion::leaves_exclude(const JsonNode& a, const JsonNode& b, bool within) {
  if (a.kind == Kind::kTexts && b.kind == Kind::kTexts) {
    compare(a.texts.size() + b.texts.size());
    const std::set<std::string> values = canonical(a.texts), others = canonical(b.texts);
    return std::ranges::none_of(values, [&](const std::string& value) { return others.contains(value); });
  }
  // Both are objects and nothing else.
  if (!within || a.types != kObjects || b.types != kObjects || a.kind != b.kind) return false;
  const auto key = [&](size_t i) -> const std::string& { return b.properties[i].key; };
  return std::ranges::any_of(a.properties, [&](const JsonProperty& one) {
    if (!one.required) return false;
    const auto other = std::ranges::lower_bound(b.by_key, one.key, {}, key);
    return other != b.by_key.end() && key(*other) == one.key && b.properties[*other].required &&
           exclude(one.value, b.properties[*other].value, /*within=*/false);
  });
}

}  // namespace lora
