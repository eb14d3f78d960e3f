#include "lora/recipe/schema.h"

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "lora/recipe/document.h"
#include "lora/recipe/key_descriptions.h"
#include "lora/recipe/keys.h"
#include "lora/recipe/starting.h"
#include "lora/recipe/values.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

using nlohmann::json;

bool is_of_type(const json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  REQUIRE(type == "object");
  return value.is_object();
}

// Draft 7 as far as the schema uses it; any other word fails the test.
bool accepts_value(const json& schema, const json& value) {
  for (const auto& [word, rule] : schema.items()) {
    const auto holds = [&, &word = word, &rule = rule] {
      if (word == "default" || word == "description" || word == "title" || word == "$schema") return true;
      if (word == "anyOf") {
        return std::ranges::any_of(rule, [&](const json& form) { return accepts_value(form, value); });
      }
      if (word == "enum") return std::ranges::count(rule, value) > 0;
      if (word == "type") {
        const json types = rule.is_array() ? rule : json::array({rule});
        return std::ranges::any_of(types, [&](const json& type) { return is_of_type(value, type); });
      }
      if (word == "minLength") return !value.is_string() || value.get<std::string>().size() >= rule;
      if (word == "pattern") {
        return !value.is_string() || std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>()));
      }
      if (word == "minimum") return !value.is_number() || value >= rule;
      if (word == "maximum") return !value.is_number() || value <= rule;
      if (word == "exclusiveMinimum") return !value.is_number() || value > rule;
      if (word == "exclusiveMaximum") return !value.is_number() || value < rule;
      if (word == "minItems") return !value.is_array() || value.size() >= rule;
      if (word == "uniqueItems")
        return !value.is_array() || std::set<json>(value.begin(), value.end()).size() == value.size();
      if (word == "items") {
        return !value.is_array() ||
               std::ranges::all_of(value, [&](const json& item) { return accepts_value(rule, item); });
      }
      if (word == "required") {
        return !value.is_object() || std::ranges::all_of(rule, [&](const json& key) { return value.contains(key); });
      }
      if (word == "properties" || word == "additionalProperties") {
        if (!value.is_object()) return true;
        for (const auto& [key, item] : value.items()) {
          const bool named = schema.contains("properties") && schema["properties"].contains(key);
          if (word == "properties" ? named && !accepts_value(rule[key], item)
                                   : !named && (rule.is_boolean() || !accepts_value(rule, item))) {
            return false;
          }
        }
        return true;
      }
      FAIL("a word that the test does not know: " << word);
      return false;
    };
    if (!holds()) return false;
  }
  return true;
}

// The tree as JSON, by YAML's core schema.
json to_json_value(const YamlNode& node) {
  using Kind = YamlNode::Kind;
  if (node.is(Kind::kNull)) return nullptr;
  if (node.is(Kind::kScalar)) {
    if (node.quoted || !(is_number(node.text) || is_bool(node.text))) return node.text;
    if (is_bool(node.text)) return node.text == "true";
    return is_integer(node.text) ? json(std::stoll(node.text)) : json(std::stod(node.text));
  }
  json value = node.is(Kind::kList) ? json::array() : json::object();
  for (const YamlNode& item : node.items) value.push_back(to_json_value(item));
  for (const YamlEntry& entry : node.entries) value[entry.key] = to_json_value(entry.value);
  return value;
}

json read_recipe_file(const std::filesystem::path& file) {
  Problems problems;
  json value = to_json_value(parse_document(read_bytes(file), {file.string(), true}, problems));
  problems.throw_any();
  return value;
}

json minimal() {
  return {{"model", {{"path", "models/tiny"}}},
          {"data", {{"train", {{{"path", "train.jsonl"}}}}}},
          {"training", {{"max_steps", 200}}},
          {"output_dir", "runs/example"}};
}

// Every key below `schema` that has no keys of its own, as pointers into a recipe; of lists of maps, those of the first.
void find_leaves(const json& schema, const std::string& at, std::vector<std::string>& leaves) {
  if (schema.contains("anyOf")) leaves.push_back(at);
  const json& form = schema.contains("anyOf") ? schema["anyOf"].back() : schema;
  if (form.contains("properties")) {
    for (const auto& [key, inner] : form["properties"].items()) find_leaves(inner, at + "/" + key, leaves);
  } else if (form.contains("items") && form["items"].contains("properties")) {
    find_leaves(form["items"], at + "/0", leaves);
  } else if (!schema.contains("anyOf")) {
    leaves.push_back(at);
  }
}

// Every key below `schema` says what it means.
void expect_descriptions(const json& schema, const std::string& at) {
  for (const json& form : schema.contains("anyOf") ? schema["anyOf"] : json::array({schema})) {
    if (form.contains("items")) expect_descriptions(form["items"], at);
    if (!form.contains("properties")) continue;
    for (const auto& [key, inner] : form["properties"].items()) {
      CAPTURE(at, key);
      CHECK(inner.value("description", "").size() > 4);
      expect_descriptions(inner, at + "." + key);
    }
  }
}

std::string dotted(std::string pointer) {
  std::ranges::replace(pointer, '/', '.');
  return pointer.substr(1);
}

// The schema's verdict and the reader's on every `stride`th pair of a key and a value.
void compare_verdicts(size_t stride) {
  const json schema = json::parse(recipe_schema());
  std::vector<std::string> leaves;
  find_leaves(schema, "", leaves);
  CHECK(leaves.size() > 100);
  const std::vector<json> values = {nullptr,
                                    true,
                                    -1,
                                    0,
                                    1,
                                    2,
                                    100'000'000'000,
                                    0.5,
                                    1.5,
                                    1.0e300,
                                    "",
                                    "x",
                                    "1",
                                    "auto",
                                    "warn",
                                    "2GiB",
                                    "10m",
                                    "all-linear",
                                    json::array(),
                                    json::array({"x"}),
                                    json::array({"peft", "peft"}),
                                    json::array({1}),
                                    json::array({-1}),
                                    json::object(),
                                    {{"a", 1}},
                                    {{"a", "x"}},
                                    {{"a", -1}}};
  size_t pair = 0;
  for (const std::string& leaf : leaves) {
    if (leaf.starts_with("/adapters")) continue;
    for (const json& value : values) {
      if (++pair % stride != 0) continue;
      json recipe = minimal();
      recipe[json::json_pointer(leaf)] = value;
      std::string yaml = recipe.dump();
      for (const std::string unit : {"2GiB", "10m"}) {  // a number with a unit stands without quotes
        if (const size_t at = yaml.find("\"" + unit + "\""); at != std::string::npos)
          yaml.replace(at, unit.size() + 2, unit);
      }
      const std::string error = error_of(yaml);
      const bool accepted = accepts_value(schema, recipe);
      // A string of names for modules is an expression to the schema; a half is check_recipe()'s to refuse.
      const bool by_schema_alone = leaf.ends_with("_modules") || leaf.ends_with("/label_smoothing");
      const bool refused_there = error.find(": " + dotted(leaf) + ": expected") != std::string::npos;
      if (accepted ? !refused_there || by_schema_alone : error != "loaded") continue;
      FAIL_CHECK(leaf << ": " << value << ", the schema " << (accepted ? "accepts" : "refuses") << " it: " << error);
    }
  }
}

}  // namespace

TEST_CASE("The schema in recipes/ is the one that the program prints") {
  const std::filesystem::path file = source_dir() / "recipes/recipe.schema.json";
  INFO("build/lora-train --schema > recipes/recipe.schema.json");
  CHECK(read_bytes(file) == recipe_schema());
}

TEST_CASE("Every recipe to start from names the schema and keeps to it") {
  const json schema = json::parse(recipe_schema());
  const auto recipes = starting_recipes(source_dir() / "recipes");
  CHECK(recipes.size() >= 25);
  for (const StartingRecipe& recipe : recipes) {
    CAPTURE(recipe.name);
    CHECK_FALSE(recipe.about.empty());
    CHECK(recipe.about.size() < 240);
    const auto file = source_dir() / "recipes" / (recipe.name + ".yaml");
    CHECK(read_bytes(file).starts_with("# yaml-language-server: $schema=recipe.schema.json\n"));
    json value = read_recipe_file(file);
    CHECK(accepts_value(schema, value));
    value["training"]["learning_rat"] = 1e-4;
    CHECK_FALSE(accepts_value(schema, value));
  }
}

TEST_CASE("The schema knows every key of every section, and allows no other") {
  const json schema = json::parse(recipe_schema());
  for (const auto& [section, keys] : known_keys()) {
    CAPTURE(section);
    const json* part = &schema;
    for (size_t begin = 0; begin < section.size();) {
      const size_t dot = std::min(section.find('.', begin), section.size());
      part = &part->at("properties").at(section.substr(begin, dot - begin));
      if (part->contains("items")) part = &part->at("items");
      if (part->contains("anyOf")) part = &part->at("anyOf").back();
      begin = dot + 1;
    }
    CHECK(part->at("additionalProperties") == false);
    CHECK(part->at("properties").size() == keys.size());
    for (const std::string& key : keys) CHECK(part->at("properties").contains(key));
  }
}

TEST_CASE("docs/recipe.md has every key that is read and no other, and the schema has its words") {
  const auto words = key_descriptions();
  const auto& sections = known_keys();
  for (const auto& [section, keys] : sections) {
    for (const std::string& key : keys) {
      const std::string path = section.empty() ? key : section + "." + key;
      CAPTURE(path);
      CHECK(words.contains(path));
    }
  }
  for (const auto& [path, text] : words) {
    if (path == "adapters.name") continue;  // an entry of the list is taken apart before it is read
    CAPTURE(path);
    const size_t dot = path.rfind('.');
    const auto section = sections.find(dot == path.npos ? "" : path.substr(0, dot));
    REQUIRE(section != sections.end());
    CHECK(std::ranges::count(section->second, path.substr(dot == path.npos ? 0 : dot + 1)) == 1);
  }

  const json schema = json::parse(recipe_schema());
  expect_descriptions(schema, "");
  const json training = schema["properties"]["training"]["properties"];
  CHECK(training["batch_size"]["description"] == "rows an optimizer step");
  CHECK(training["warmup_steps"]["description"] == training["warmup_ratio"]["description"]);
  CHECK(training["objective"]["description"].get<std::string>().find("](") == std::string::npos);
  CHECK_THAT(training["preference"]["properties"]["simpo_gamma"]["description"].get<std::string>(),
             Catch::Matchers::Contains("margin"));
}

TEST_CASE("A value that the schema refuses is refused when the recipe is read, and the other way round, a sample") {
  compare_verdicts(13);
}

TEST_CASE("A value that the schema refuses is refused when the recipe is read, and the other way round", "[.long]") {
  compare_verdicts(1);
}

TEST_CASE("A recipe to start from tells how its model is downloaded") {
  const std::filesystem::path recipes = source_dir() / "recipes";
  CHECK(download_command(recipes, "models/Qwen3-4B") == "hf download Qwen/Qwen3-4B --local-dir models/Qwen3-4B");
  CHECK(download_command(recipes, "models/Qwen3").empty());
  for (const StartingRecipe& recipe : starting_recipes(recipes)) {
    CAPTURE(recipe.name);
    const json model = read_recipe_file(recipes / (recipe.name + ".yaml")).at("model");
    if (!model.at("path").get<std::string>().starts_with("models/")) continue;
    CHECK_THAT(download_command(recipes, model.at("path")), Catch::Matchers::StartsWith("hf download "));
  }
}

TEST_CASE("A recipe to start from can be written anywhere") {
  const std::filesystem::path recipes = source_dir() / "recipes";
  const std::string text = starting_recipe(recipes, "quickstart");
  CHECK_THAT(text, Catch::Matchers::StartsWith("# yaml-language-server: $schema=" + recipes.string() +
                                               "/recipe.schema.json\n"));
  const Recipe recipe = load_text(text);
  CHECK(recipe.model.path == (recipes / "quickstart/model").string());
  CHECK(std::filesystem::exists(recipe.data.train.front().path));
  try {
    starting_recipe(recipes, "quikstart");
    FAIL("found");
  } catch (const RecipeError& error) {
    CHECK_THAT(error.what(), Catch::Matchers::Contains("did you mean 'quickstart'?"));
  }
}

}  // namespace lora::test
