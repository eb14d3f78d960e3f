// Answers that are JSON values: which tokens a schema allows.

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
#include "tests/inference/json_taken.h"
#include "tests/paths.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using Json = nlohmann::ordered_json;

namespace {

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
      R"({"type": "integer", "minimum": 7, "maximum": 1200})",
      R"({"type": "array", "items": {"type": "number", "exclusiveMinimum": -0.25, "maximum": 12.5}})",
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

}  // namespace

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
