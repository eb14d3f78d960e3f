// Answers that are JSON values: what a schema allows, byte by byte and token by token.

#include "lora/inference/json_answer.h"

#include <cmath>

#include "lora/data/shuffle.h"
#include "lora/inference/generation.h"
#include "lora/inference/plain_generation.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/inference/json_schema_check.h"
#include "tests/paths.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using Json = nlohmann::ordered_json;

namespace {

JsonGrammar grammar_of(const std::string& schema) { return read_json_schema(parse_json<Json>(schema)); }

enum class Taken { kNo, kBegun, kWhole, kOver };

Taken taken(const JsonGrammar& grammar, const std::string& text) {
  const JsonSteps steps(grammar);
  JsonPlaces places = steps.begin(), next;
  for (const char c : text) {
    steps.take(places, static_cast<unsigned char>(c), next);
    std::swap(places, next);
    if (places.empty()) return Taken::kNo;
  }
  const auto is_whole = [](const JsonPlace& place) { return place.stand == JsonPlace::Stand::kWhole; };
  if (std::ranges::none_of(places, is_whole)) return Taken::kBegun;
  return places.size() == 1 ? Taken::kOver : Taken::kWhole;
}

bool is_taken(const JsonGrammar& grammar, const std::string& text) { return taken(grammar, text) >= Taken::kWhole; }

std::string refusal_of(const std::string& schema) {
  try {
    grammar_of(schema);
  } catch (const RecipeError& error) {
    return error.what();
  }
  return "was taken";
}

// Pieces that begin and end anywhere: within a character, a key, a number, behind a quote.
const PieceTokenizer& some_tokenizer() {
  static const PieceTokenizer tokenizer(
      {"true",  "null", "{\"",          "\":",  "\": ",  "\", \"",   "\"}",      "\"},{\"",  "a\"",
       "ab",    "name", "\"name\": \"", "12",   "345",   ".5",       "e1",       "[[",       "]]",
       "\\u00", "\\n",  "\\\"",         "\xC3", "\xA9x", "\xF0\x9F", "\x98\x80", "\xE2\x82", "}]",
       "  ",    " ",    "é\"",          "[{\"", "1,",    "-0",       "],",       "\\",       "\\\\"});
  return tokenizer;
}

const std::shared_ptr<const TokenTexts>& some_texts() {
  static const auto texts = std::make_shared<const TokenTexts>(some_tokenizer(), some_tokenizer().vocab_size());
  return texts;
}

std::shared_ptr<const JsonForm> form_of(const std::string& schema) {
  return std::make_shared<const JsonForm>(grammar_of(schema), some_texts());
}

// Schemas of every kind, for what has to hold for all of them.
const std::vector<std::string>& schemas() {
  static const std::vector<std::string> all = {
      R"({"type": "object"})",
      "{}",
      "true",
      R"({"type": "string", "minLength": 2, "maxLength": 5})",
      R"({"type": "string"})",
      R"({"type": "integer"})",
      R"({"type": ["number", "null"]})",
      R"({"enum": ["aa", "ab", "é", 1, 12, 1.5, null, true, {"a": [1]}, "a\"b\n"]})",
      R"({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4})",
      R"({"type": "array", "items": {"type": "array"}, "maxItems": 0})",
      R"({"type": "object", "properties": {"name": {"type": "string"}, "na": {"type": "integer"},
          "é": {"type": "null"}},
          "required": ["na"], "additionalProperties": false})",
      R"({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["b"],
          "additionalProperties": {"type": "integer"}})",
      R"({"properties": {"a": {}, "b": true}})",
      R"({"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"type": "array", "items": {"type": "string"}}]})",
      R"({"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}},
                     "required": ["kind", "x"], "additionalProperties": false},
                    {"type": "object", "properties": {"kind": {"const": "ab"}, "y": {"type": "number"}},
                     "required": ["kind"]}, {"type": "string"}]})",
      R"({"$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer"}, "next":
          {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["value", "next"],
          "additionalProperties": false}}, "$ref": "#/$defs/node"})",
      R"({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}},
          "additionalProperties": false})",
      R"({"allOf": [{"type": "string", "maxLength": 3}], "title": "t", "description": "d"})",
  };
  return all;
}

// Logits that are different at each step. Tokens that close something are likelier, so that answers come to an end.
std::vector<float> random_logits(SplitMix64& random) {
  std::vector<float> logits;
  for (int64_t id = 0; id < some_tokenizer().vocab_size(); ++id) {
    const std::string piece = some_tokenizer().piece(id);
    const bool closes = piece.find_first_of("\"}]") != piece.npos && piece.find_first_of("[{") == piece.npos;
    logits.push_back(static_cast<float>(random.below(1000)) / 250 + (closes ? 4.0f : 0.0f));
  }
  return logits;
}

std::vector<bool> masked(JsonAnswer& answer) {
  std::vector<float> logits(static_cast<size_t>(some_tokenizer().vocab_size()), 1.0f);
  answer.mask(logits);
  std::vector<bool> allowed;
  for (const float logit : logits) allowed.push_back(std::isfinite(logit));
  return allowed;
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

TEST_CASE("what a schema may not have is refused with its place and name") {
  const std::vector<std::pair<std::string, std::string>> all = {
      {R"({"type": "string", "pattern": "a"})", "schema at #: 'pattern' is not a keyword that answers can be held to"},
      {R"({"properties": {"a": {"type": "integer", "minimum": 1}}})", "schema at #/properties/a: 'minimum'"},
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

TEST_CASE("a token may come where its bytes may, whatever it begins and ends") {
  SplitMix64 random(5);
  size_t strings = 0;
  for (const std::string& schema : schemas()) {
    CAPTURE(schema);
    const auto form = form_of(schema);
    const JsonSteps steps(form->grammar);
    for (int round = 0; round < 4; ++round) {
      const std::vector<int64_t> ends = {PieceTokenizer::kEos};
      JsonAnswer answer(form, ends);
      JsonPlaces places = steps.begin(), next;
      for (int step = 0; step < 40 && !answer.is_over(); ++step) {
        const std::vector<bool> allowed = masked(answer);
        std::vector<int64_t> candidates, wrong;
        for (int64_t id = 0; id < some_tokenizer().vocab_size(); ++id) {
          JsonPlaces after = places;
          for (const char c : some_tokenizer().piece(id)) {
            steps.take(after, static_cast<unsigned char>(c), next);
            std::swap(after, next);
          }
          const bool is_special = some_tokenizer().is_special(id);
          const bool may = is_special ? id == PieceTokenizer::kEos && answer.is_whole() : !after.empty();
          if (allowed[static_cast<size_t>(id)] != may) wrong.push_back(id);
          if (may && !is_special) candidates.push_back(id);
        }
        REQUIRE(wrong == std::vector<int64_t>{});
        REQUIRE_FALSE(candidates.empty());
        strings += candidates.size() > 150;
        // Pieces of several bytes as often as the many single ones.
        std::ranges::reverse(candidates);
        const int64_t id = candidates[random.below(std::min<uint64_t>(candidates.size(), random.below(2) ? 12 : 400))];
        answer.take(id);
        for (const char c : some_tokenizer().piece(id)) {
          steps.take(places, static_cast<unsigned char>(c), next);
          std::swap(places, next);
        }
      }
    }
  }
  CHECK(strings > 50);
}

TEST_CASE("what random models answer is JSON that keeps to the schema") {
  for (const std::string& schema : schemas()) {
    CAPTURE(schema);
    const auto form = form_of(schema);
    const auto checked = nlohmann::json::parse(schema);
    int ended = 0;
    for (uint64_t seed = 0; seed < 12; ++seed) {
      SplitMix64 random(seed);
      const std::vector<int64_t> ends = {PieceTokenizer::kEos};
      Sampler sampler({.temperature = seed % 3 ? 1.0 : 0.0, .top_p = seed % 2 ? 1.0 : 0.9, .seed = seed, .json = form},
                      {}, ends);
      std::vector<int64_t> ids;
      bool over = false;
      while (!over && ids.size() < 300) {
        const int64_t id = sampler.next(random_logits(random));
        over = id == PieceTokenizer::kEos || sampler.is_over();
        if (id != PieceTokenizer::kEos) ids.push_back(id);
      }
      const std::string text = some_tokenizer().decode(ids);
      CAPTURE(text);
      if (!over) {
        CHECK(taken(form->grammar, text) >= Taken::kBegun);
        continue;
      }
      ++ended;
      nlohmann::json value;
      REQUIRE_NOTHROW(value = parse_json<nlohmann::json>(text));
      CHECK(keeps_to(checked, value, checked));
    }
    CHECK(ended >= 6);
  }
}

TEST_CASE("a tokenizer without a token for each character is refused, and bytes that cannot go on are no tokens") {
  // Only the pieces: no single bytes.
  class FewTokens : public PieceTokenizer {
   public:
    FewTokens(std::vector<std::string> pieces, int64_t without)
        : PieceTokenizer(std::move(pieces)), without_(without) {}
    std::string decode(const std::vector<int64_t>& ids) const override {
      std::vector<int64_t> known = ids;
      std::erase_if(known, [&](int64_t id) { return id == without_ || (id >= 0x80 && id < 256); });
      return PieceTokenizer::decode(known);
    }
    std::string piece(int64_t id) const override {
      return id >= 0x80 && id < 256 ? "<hole>" : PieceTokenizer::piece(id);
    }

   private:
    int64_t without_;
  };
  const FewTokens missing({}, '{');
  CHECK_THROWS_WITH(TokenTexts(missing, missing.vocab_size()), Contains("none for '{'"));
  const FewTokens few({"é", "\xC3", "x\xE2"}, -1);
  const auto texts = std::make_shared<const TokenTexts>(few, few.vocab_size());
  CHECK_FALSE(texts->has_all_bytes());
  CHECK(texts->text(PieceTokenizer::kFirstPiece) == "é");
  CHECK(texts->text(PieceTokenizer::kFirstPiece + 1).empty());
  CHECK(texts->text(PieceTokenizer::kFirstPiece + 2).empty());
  CHECK(texts->text(200).empty());
  CHECK(texts->text(PieceTokenizer::kEos).empty());
  CHECK_THROWS_WITH(JsonForm(grammar_of(R"({"const": "ü"})"), texts), Contains("expected ASCII"));
}

TEST_CASE("a model writes JSON beside free text, each as alone, and its log-probabilities are its own") {
  const std::filesystem::path directory = source_dir() / "recipes/quickstart/model";
  const auto tokenizer = load_tokenizer(directory);
  const auto model = load_pretrained(directory, "float32");
  model->eval();
  const auto texts = std::make_shared<const TokenTexts>(*tokenizer, model->config().vocab_size);
  const std::string schema =
      R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 9}, "count": {"type": "integer"},
          "tags": {"type": "array", "items": {"enum": ["red", "grün"]}, "maxItems": 3}},
          "required": ["name", "count", "tags"], "additionalProperties": false})";
  const auto form = std::make_shared<const JsonForm>(grammar_of(schema), texts);
  const auto checked = nlohmann::json::parse(schema);
  BatchDecoder decoder(*model);
  const auto snapshot = decoder.snapshot(*model);

  std::vector<SamplingConfig> configs;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    configs.push_back({.temperature = seed < 2 ? 0.0 : 1.0, .seed = seed, .json = seed % 2 ? form : nullptr});
  }
  struct Written {
    std::vector<int64_t> ids;
    AnswerEnd end = AnswerEnd::kStopped;
    bool operator==(const Written&) const = default;
  };
  const auto write = [&](const std::vector<SamplingConfig>& together) {
    ContinuousBatch batch(decoder, nullptr);
    std::vector<Written> answers(together.size());
    for (size_t i = 0; i < together.size(); ++i) {
      batch.add({.model = snapshot,
                 .prompt = {1, 40 + static_cast<int64_t>(together[i].seed), 50},
                 .sampling = together[i],
                 .max_new_tokens = 120,
                 .end_ids = {2},
                 .on_token =
                     [&answers, i](int64_t id, std::span<const float> logits) {
                       REQUIRE(std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); }));
                       answers[i].ids.push_back(id);
                       return true;
                     },
                 .on_end = [&answers, i](AnswerEnd how, int64_t) { answers[i].end = how; }});
    }
    while (!batch.is_empty()) batch.pass();
    return answers;
  };
  const std::vector<Written> together = write(configs);
  int whole = 0;
  for (size_t i = 0; i < configs.size(); ++i) {
    CAPTURE(i);
    CHECK(write({configs[i]})[0] == together[i]);
    if (!configs[i].json) continue;
    const std::string text = tokenizer->decode(together[i].ids);
    CAPTURE(text);
    if (together[i].end == AnswerEnd::kLength) {
      CHECK(taken(form->grammar, text) == Taken::kBegun);
      continue;
    }
    ++whole;
    CHECK(together[i].end == AnswerEnd::kWhole);
    nlohmann::json value;
    REQUIRE_NOTHROW(value = parse_json<nlohmann::json>(text));
    CHECK(keeps_to(checked, value, checked));
    // The reference draws the same tokens.
    const GenerationConfig config{.max_new_tokens = 120, .sampling = configs[i], .eos_ids = {2}};
    const auto plain = generate_plainly(*model, {{1, 40 + static_cast<int64_t>(i), 50}}, config);
    CHECK(plain.answers[0] == together[i].ids);
  }
  CHECK(whole >= 2);
}
