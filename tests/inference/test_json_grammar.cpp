// What a JSON Schema allows, byte by byte, and which schemas are refused.

#include "lora/inference/json_grammar.h"

#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/inference/json_schema_check.h"
#include "tests/inference/json_taken.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

std::string refusal_of(const std::string& schema) {
  try {
    grammar_of(schema);
  } catch (const RecipeError& error) {
    return error.what();
  }
  return "was taken";
}

struct Checked {
  std::string schema;
  std::vector<std::string> good, bad;
};

}  // namespace

TEST_CASE("each keyword of a schema decides on values") {
  const std::vector<Checked> all = {
      {R"({"type": "null"})", {"null"}, {"nul", "true", "\"null\"", "nullx"}},
      {R"({"type": "boolean"})", {"true", "false"}, {"null", "tru"}},
      {R"({"type": "integer"})",
       {"0", "-0", "-12", "123456789012345"},
       {"01", "-", "1.0", "1e2", "1234567890123456", "+1"}},
      {R"({"type": "number"})",
       {"0", "0.5", "-1.25", "1e5", "1E-12", "1.5e+3", "123456789012345.123456789012345e99"},
       {".5", "1.", "1e", "1e+", "00", "1e123", "1.1234567890123456", "Infinity", "NaN"}},
      {R"({"type": "integer", "minimum": 0, "maximum": 120})",
       {"0", "-0", "7", "12", "99", "100", "120"},
       {"-1", "121", "130", "200", "999", "1000", "1.0", "1e1", "01"}},
      {R"({"type": "integer", "minimum": 5, "maximum": 12})",
       {"5", "9", "10", "12"},
       {"1", "4", "13", "2", "20", "-5", "100"}},
      {R"({"type": "integer", "minimum": -1200, "exclusiveMaximum": -30})",
       {"-31", "-100", "-999", "-1000", "-1200"},
       {"-30", "-3", "-1201", "-2000", "31", "0"}},
      {R"({"type": "integer", "exclusiveMinimum": 0})",
       {"1", "123456789012345"},
       {"0", "-0", "-1", "1234567890123456"}},
      {R"({"type": "number", "minimum": 0, "maximum": 1})",
       {"0", "1", "-0", "0.5", "1.0", "0.123456789012345", "1.000"},
       {"1.1", "2", "-0.1", "10", "1.000000000000001", "0.1e0", "0.1234567890123456"}},
      {R"({"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.3})",
       {"0.2", "0.11", "0.29", "0.100000000000001", "0.299999999999999"},
       {"0.1", "0.10", "0.3", "0.30", "0", "1", "0.09", "-0.2"}},
      {R"({"minimum": -2.5, "maximum": -2.25})", {"-2.5", "-2.25", "-2.4"}, {"-2", "-2.2", "-2.6", "2.3", "-3"}},
      {R"({"type": "number", "exclusiveMinimum": 100, "maximum": 1e20})",
       {"101", "100.1", "100.00000000000002", "999999999999999.999999999999999"},
       {"100", "100.000000000000001", "99", "1"}},
      {R"({"type": "string"})",
       {R"("")", R"("aé😀")", R"("\n\u00e9\"\\\/")", R"("\ud7ff")"},
       {R"("a)", R"(a)", R"("\x")", R"("\u12g4")", R"("\ud800")", R"("\uDC00")", "\"\n\"", "\"\xC3\"", "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xE0\x80\x80\"", "\"\xF0\x80\x80\x80\"", "\"\x80\"", R"("" )",
        R"( "")"}},
      {R"({"type": "string", "minLength": 2, "maxLength": 3})",
       {R"("ab")", R"("éé")", R"("😀😀😀")", R"("\u00e9\n")"},
       {R"("a")", R"("abcd")", R"("éééé")", R"("")"}},
      {R"({"maxLength": 1})", {R"("a")"}, {R"("ab")", "1"}},
      {R"({"enum": ["a", "ab", 1, 12, null]})",
       {R"("a")", R"("ab")", "1", "12", "null"},
       {R"("b")", "2", "123", "11", R"("")"}},
      {R"({"enum": ["a", 1, 1.5, null], "type": ["string", "integer"]})", {R"("a")", "1"}, {"1.5", "null"}},
      {R"({"const": {"a": [1, "x"]}})", {R"({"a":[1,"x"]})"}, {R"({"a":[1]})"}},
      {R"({"type": "array", "items": {"type": "integer"}})",
       {"[]", "[1]", "[1,2, 3]"},
       {"[1,]", "[,1]", "[\"a\"]", "[1,  2]", "[ 1]", "[1 ]"}},
      {R"({"type": "array", "minItems": 1, "maxItems": 2})", {"[1]", "[[], {}]"}, {"[]", "[1,2,3]", "[1,2,"}},
      {R"({"type": "array", "items": false})", {"[]"}, {"[1]"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}})",
       {"{}", R"({"a":1})", R"({"a": 1, "b": null})", R"({"b":null})"},
       {R"({"b":null,"a":1})", R"({"a":1,"a":1})", R"({"c":1})", R"({"a":"x"})", R"({"a":1,})", R"({ "a":1})",
        R"({"a" :1})"}},
      {R"({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["b"]})",
       {R"({"b":1})", R"({"a":1,"b":1})", R"({"b":1,"c":1})", R"({"a":{"x":[]},"b":1,"c":1})"},
       {"{}", R"({"a":1})", R"({"a":1,"c":1})", R"({"c":1)"}},
      {R"({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}})",
       {"{}", R"({"a":"x","b":1,"c":2})", R"({"b":1})", R"({"":1,"é":2})"},
       {R"({"b":"x"})", R"({"b":1,"b":2})", R"({"b":1,"a":2})", R"({"\n":1})", R"({"b":1,"a":"x"})"}},
      {R"({"type": "object", "required": ["a"]})", {R"({"a":1})", R"({"a":[],"b":1})"}, {"{}", R"({"b":1})"}},
      {R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"a":1})"}},
      {R"({"properties": {"a": {"type": "null"}}, "required": ["a"]})", {R"({"a":null})"}, {"1", "{}"}},
      {R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]})", {"1", R"("a")"}, {"1.5", R"("ab")"}},
      {R"({"oneOf": [{"type": "integer"}, {"type": "string"}]})", {"1", R"("a")"}, {"1.5"}},
      {R"({"allOf": [{"type": "integer"}]})", {"1"}, {"1.5"}},
      {R"({"type": ["integer", "array"], "maxItems": 1})", {"1", "[1]"}, {"[1,2]", "null"}},
      {R"({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}})", {"null"}, {"1"}},
      {R"({"type": "array", "items": {"$ref": "#"}})", {"[]", "[[],[[]]]"}, {"[1]"}},
      {R"({"properties": {"a": {"type": "null"}, "b": {"$ref": "#/properties/a"}}})",
       {R"({"b":null})"},
       {R"({"b":1})"}},
      {"true", {"1", "[]", R"({"a":[null,true]})"}, {"[", ""}},
  };
  for (const Checked& one : all) {
    CAPTURE(one.schema);
    const JsonGrammar grammar = grammar_of(one.schema);
    const auto schema = nlohmann::json::parse(one.schema);
    for (const std::string& text : one.good) {
      CAPTURE(text);
      CHECK(is_taken(grammar, text));
      CHECK(keeps_to(schema, parse_json<nlohmann::json>(text), schema));
    }
    for (const std::string& text : one.bad) {
      CAPTURE(text);
      CHECK_FALSE(is_taken(grammar, text));
    }
  }
}

TEST_CASE("bounds of numbers take what a reader finds within them, and nothing else") {
  const std::vector<std::string> bounds = {R"("minimum": -12, "maximum": 105)",
                                           R"("exclusiveMinimum": 0.2, "maximum": 9.5)",
                                           R"("maximum": -0.75)",
                                           R"("minimum": 19.9)",
                                           R"("exclusiveMinimum": -1, "exclusiveMaximum": 1)",
                                           R"("minimum": 0.05, "maximum": 0.05)"};
  std::vector<std::string> texts = {""};
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string before = texts[i];
    if (before.size() == 4) continue;
    for (const char c : {'-', '.', '0', '1', '2', '5', '9'}) texts.push_back(before + c);
  }
  for (const std::string& bound : bounds) {
    for (const char* type : {"number", "integer"}) {
      const std::string text = std::string(R"({"type": ")") + type + "\", " + bound + "}";
      const auto schema = nlohmann::json::parse(text);
      CAPTURE(text);
      std::optional<JsonGrammar> grammar;
      try {
        grammar = grammar_of(text);
      } catch (const RecipeError&) {
        CHECK(std::string(type) == "integer");  // none between 0.05 and 0.05
        continue;
      }
      for (const std::string& value : texts) {
        const bool is_whole = std::string(type) == "number" || value.find('.') == value.npos;
        const auto read = nlohmann::json::parse(value, nullptr, /*allow_exceptions=*/false);
        if (is_taken(*grammar, value) != (is_whole && read.is_number() && keeps_to(schema, read, schema))) FAIL(value);
      }
    }
  }
}

TEST_CASE("what a schema may not have is refused with its place and name") {
  const std::vector<std::pair<std::string, std::string>> all = {
      {R"({"type": "string", "pattern": "a"})", "schema at #: 'pattern' is not a keyword that answers can be held to"},
      {R"({"properties": {"a": {"type": "integer", "multipleOf": 2}}})", "schema at #/properties/a: 'multipleOf'"},
      {R"({"minimum": "1"})", "schema at #: 'minimum' is no number"},
      {R"({"type": "integer", "minimum": 1.5, "exclusiveMaximum": 2})", "no number"},
      {R"({"minimum": 1e15})", "no number"},
      {R"({"exclusiveMinimum": -1e15, "maximum": -1e15})", "no number"},
      {R"({"type": "string", "format": "date"})", "'format'"},
      {R"({"items": {"not": {}}})", "schema at #/items: 'not'"},
      {R"({"propertees": {}})", "did you mean 'properties'?"},
      {R"({"type": "text"})", "'type' is \"text\""},
      {R"({"type": []})", "empty list"},
      {R"({"anyOf": [{"type": "string"}], "type": "string"})", "'type' stands beside 'anyOf'"},
      {R"({"enum": ["a"], "minLength": 1})", "'minLength' stands beside 'enum'"},
      {R"({"enum": ["a"], "type": "integer"})", "no value keeps to"},
      {R"({"enum": []})", "no value keeps to"},
      {R"({"anyOf": []})", "'anyOf' is no list of schemas"},
      {R"({"allOf": [{}, {}]})", "'allOf' has several"},
      {R"({"items": [{}]})", "schema at #/items: found array"},
      {R"({"minItems": -1})", "'minItems' is no integer of at least 0"},
      {R"({"minLength": 1.5})", "'minLength' is no integer"},
      {R"({"minItems": 3, "maxItems": 2})", "'minItems' is above 'maxItems'"},
      {R"({"required": ["a"], "additionalProperties": false})", "'a' is required and not allowed"},
      {R"({"$ref": "#/$defs/a"})", "there is no such place"},
      {R"({"$ref": "other.json"})", "expected a place in this schema"},
      {R"({"items": {"$id": "x"}})", "'$id'"},
      {R"({"oneOf": [{"type": "number"}, {"type": "integer"}]})",
       "'oneOf': a value may keep to both its schemas 1 and 2"},
      {R"({"oneOf": [{"type": "integer"}, {"enum": ["a", 1.0]}]})", "both its schemas 1 and 2"},
      {R"({"oneOf": [{"const": 1}, {"const": 1.0}]})", "both its schemas 1 and 2"},
      {R"({"oneOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"type": "string"}]})",
       "both its schemas"},
      {R"({"oneOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"type": "object", "properties":
          {"a": {"const": 2}}, "required": ["a"]}]})",
       "both its schemas"},
      {"[]", "found array, expected a schema"},
  };
  for (const auto& [schema, part] : all) {
    CAPTURE(schema);
    CHECK_THAT(refusal_of(schema), Contains(part));
  }
}

TEST_CASE("a schema without a bound, or beyond one, is refused by that bound") {
  CHECK_THAT(refusal_of(R"({"$ref": "#"})"), Contains("contain itself without an end"));
  CHECK_THAT(refusal_of(R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})"),
             Contains("no value of at most 64 levels"));
  CHECK_THAT(refusal_of(R"({"anyOf": [{"$ref": "#"}, {"type": "array", "minItems": 1, "items": {"$ref": "#"}}]})"),
             Contains("no value of at most 64 levels"));
  CHECK_THAT(refusal_of("false"), Contains("no value of at most 64 levels"));

  Json many = {{"type", "object"}, {"properties", Json::object()}};
  for (int i = 0; i < 5'001; ++i) many["properties"].push_back({"p" + std::to_string(i), {{"type", "null"}}});
  CHECK_THAT(refusal_of(many.dump()), Contains("more than 5000 properties"));
  Json values = {{"enum", Json::array()}};
  for (int i = 0; i < 5'001; ++i) values["enum"].push_back(i);
  CHECK_THAT(refusal_of(values.dump()), Contains("more than 5000 values"));
  CHECK_THAT(refusal_of(Json{{"const", std::string(2'000'000, 'x')}}.dump()), Contains("bytes of names and values"));
  Json wide = {{"anyOf", Json::array()}};
  for (int i = 0; i < 257; ++i) wide["anyOf"].push_back({{"type", "string"}, {"maxLength", i}});
  CHECK_THAT(refusal_of(wide.dump()), Contains("257 alternatives, expected at most 256"));
  // 2^16 ways through definitions, each of which names the one before it twice.
  Json doubled = {{"$defs", {{"d0", {{"type", "string"}}}}}, {"$ref", "#/$defs/d200"}};
  for (int i = 1; i <= 200; ++i) {
    const Json before = {{"$ref", "#/$defs/d" + std::to_string(i - 1)}};
    doubled["$defs"]["d" + std::to_string(i)] = {{"anyOf", Json::array({before, before})}};
  }
  CHECK(is_taken(grammar_of(doubled.dump()), R"("a")"));
  Json parts = {{"anyOf", Json::array()}};
  for (int i = 0; i < 20'001; ++i) parts["anyOf"].push_back({{"type", "string"}});
  CHECK_THAT(refusal_of(parts.dump()), Contains("more than 20000 parts"));
}

TEST_CASE("ways to read a text that double at each byte stay bounded, and a value comes of them") {
  const JsonGrammar grammar = grammar_of(
      R"({"$defs": {"a": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/a"}},
                                    {"type": "array", "items": {"$ref": "#/$defs/a"}, "maxItems": 9}]}},
          "$ref": "#/$defs/a"})");
  const JsonSteps steps(grammar);
  JsonPlaces places = steps.begin(), next;
  for (const char c : std::string(40, '[') + std::string(40, ']')) {
    steps.take(places, static_cast<unsigned char>(c), next);
    std::swap(places, next);
    REQUIRE_FALSE(places.empty());
    REQUIRE(places.size() <= kMostJsonPlaces);
  }
  CHECK(places[0].stand == JsonPlace::Stand::kWhole);
}

TEST_CASE("values nest 64 deep, and no deeper than leaves them an end") {
  const JsonGrammar lists = grammar_of(R"({"type": "array"})");
  CHECK(is_taken(lists, std::string(64, '[') + std::string(64, ']')));
  CHECK(taken(lists, std::string(65, '[')) == Taken::kNo);
  // An object at the last level would need one more for its list.
  const JsonGrammar pairs = grammar_of(
      R"({"anyOf": [{"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#"}}},
                     "required": ["a"]}, {"type": "null"}]})");
  std::string text;
  for (int i = 0; i < 32; ++i) text += R"({"a":[)";
  CHECK(taken(pairs, text) == Taken::kBegun);
  CHECK(taken(pairs, text + "{") == Taken::kNo);
  CHECK(taken(pairs, text + "n") == Taken::kBegun);
}

TEST_CASE("a name of an additional property can always end, whatever names the object has") {
  const std::string name(64, 'x'), one_more = name + "x";
  const auto begun = [](const JsonGrammar& grammar, const std::string& text) {
    return taken(grammar, text) == Taken::kBegun;
  };
  const JsonGrammar any = grammar_of(R"({"type": "object"})");
  CHECK(begun(any, "{\"" + name));
  CHECK(taken(any, "{\"" + one_more) == Taken::kNo);
  const std::string first = "{\"" + name + "\":1,\"";
  CHECK(begun(any, first + name));
  CHECK(taken(any, first + name + "\"") == Taken::kNo);
  CHECK(begun(any, first + one_more + "\""));
  CHECK(taken(any, first + one_more + "x") == Taken::kNo);
  const JsonGrammar named = grammar_of(R"({"additionalProperties": {"type": "null"}, "properties": {")" + name +
                                       R"(": {"type": "integer"}}})");
  CHECK(is_taken(named, "{\"" + name + "\":1}"));
  CHECK(taken(named, "{\"" + name + "\":n") == Taken::kNo);
  CHECK(is_taken(named, "{\"" + one_more + "\":null}"));
}
