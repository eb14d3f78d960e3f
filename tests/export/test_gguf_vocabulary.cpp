// A tokenizer as GGUF's metadata: the tokens of tokenizer.model or tokenizer.json, and refusal of what llama.cpp would
// read otherwise.

#include "lora/export/gguf_vocabulary.h"

#include "lora/export/gguf_tokens.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/shared_data.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

SentencePieceModel pieces() {
  SentencePieceModel model;
  model.pieces = first_pieces();
  model.pieces.push_back({"▁a", -1, PieceType::kNormal});
  model.pieces.push_back({"a", -2, PieceType::kNormal});
  model.pieces.push_back({"▁", -3, PieceType::kNormal});
  return model;
}

// Of a directory with these files, for a model with two rows more than the tokenizer has.
GgufMetadata vocabulary(const std::map<std::string, std::string>& files, const std::vector<int64_t>& ends = {}) {
  const TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.model", serialize(pieces()));
  for (const auto& [name, text] : files) write_bytes(directory / name, text);
  ModelConfig config;
  config.vocab_size = 264;
  return gguf_vocabulary(directory.path(), load_tokenizer(directory.path()).get(), config,
                         read_template_files(directory.path()), ends);
}

template <typename T>
T value(const GgufMetadata& metadata, const std::string& key) {
  const GgufValue* found = find_value(metadata, "tokenizer." + key);
  INFO(key);
  REQUIRE(found);
  if constexpr (std::is_constructible_v<GgufArray, T>) {
    return std::get<T>(std::get<GgufArray>(*found));
  } else {
    return std::get<T>(*found);
  }
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kRecipe);
    return e.what();
  }
  return "";
}

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

json split_by(const std::string& regex) {
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false)}}};
}

json tokenizer_json(const json& pre_tokenizer, bool ignore_merges = false, const json& normalizer = nullptr) {
  return {{"normalizer", normalizer},
          {"pre_tokenizer", pre_tokenizer},
          {"added_tokens",
           {{{"id", 4}, {"content", "<|end|>"}, {"special", true}},
            {{"id", 5}, {"content", "<tool>"}, {"special", false}}}},
          {"model",
           {{"type", "BPE"},
            {"ignore_merges", ignore_merges},
            {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}, {"Ġab", 3}}},
            {"merges", json::array({"a b", json::array({"Ġ", "ab"})})}}}};
}

}  // namespace

TEST_CASE("a SentencePiece vocabulary keeps its texts, scores and types, and unused rows are named so") {
  const GgufMetadata found = vocabulary({});
  const auto texts = value<std::vector<std::string>>(found, "ggml.tokens");
  const auto types = value<std::vector<int32_t>>(found, "ggml.token_type");
  const auto scores = value<std::vector<float>>(found, "ggml.scores");
  REQUIRE(texts.size() == 264);
  REQUIRE(types.size() == 264);
  REQUIRE(scores.size() == 264);
  const std::vector<Piece> wanted = pieces().pieces;
  for (size_t id = 0; id < wanted.size(); ++id) {
    CHECK(texts[id] == wanted[id].text);
    CHECK(types[id] == static_cast<int32_t>(wanted[id].type));
    CHECK(scores[id] == wanted[id].score);
  }
  CHECK(texts[263] == "[PAD263]");
  CHECK(types[263] == static_cast<int32_t>(GgufTokenType::kUnused));
  CHECK(value<std::string>(found, "ggml.model") == "llama");
  CHECK(value<uint32_t>(found, "ggml.bos_token_id") == 1);
  CHECK(value<uint32_t>(found, "ggml.eos_token_id") == 2);
  CHECK(value<uint32_t>(found, "ggml.unknown_token_id") == 0);
  CHECK(value<bool>(found, "ggml.add_bos_token"));
  CHECK_FALSE(value<bool>(found, "ggml.add_eos_token"));
  CHECK(value<bool>(found, "ggml.add_space_prefix"));
  CHECK_FALSE(find_value(found, "tokenizer.chat_template"));
}

TEST_CASE("added tokens, their flags and the chat template come from the files beside a tokenizer.model") {
  const json settings = {{"add_bos_token", false},
                         {"chat_template", "{{ messages }}"},
                         {"added_tokens_decoder",
                          {{"1", {{"content", "<s>"}, {"special", true}}},
                           {"262", {{"content", "<|im_end|>"}, {"special", true}}},
                           {"263", {{"content", "<tool>"}, {"special", false}}}}}};
  const GgufMetadata found = vocabulary({{"tokenizer_config.json", settings.dump()}});
  const auto texts = value<std::vector<std::string>>(found, "ggml.tokens");
  const auto types = value<std::vector<int32_t>>(found, "ggml.token_type");
  CHECK(texts[1] == "<s>");
  CHECK(value<std::vector<float>>(found, "ggml.scores")[1] == 0);
  CHECK(texts[262] == "<|im_end|>");
  CHECK(types[262] == static_cast<int32_t>(GgufTokenType::kControl));
  CHECK(texts[263] == "<tool>");
  CHECK(types[263] == static_cast<int32_t>(GgufTokenType::kUserDefined));
  CHECK_FALSE(value<bool>(found, "ggml.add_bos_token"));
  CHECK(value<std::string>(found, "chat_template") == "{{ messages }}");

  const json several = {
      {"chat_template", {{{"name", "default"}, {"template", "d"}}, {{"name", "tool_use"}, {"template", "t"}}}}};
  const GgufMetadata more = vocabulary({{"tokenizer_config.json", several.dump()}});
  CHECK(value<std::string>(more, "chat_template") == "d");
  CHECK(value<std::string>(more, "chat_template.tool_use") == "t");
  CHECK(value<std::string>(vocabulary({{"chat_template.jinja", "j"}}), "chat_template") == "j");
}

TEST_CASE("a SentencePiece model that llama.cpp would read otherwise is refused") {
  const auto refused = [](const std::function<void(SentencePieceModel&)>& change) {
    SentencePieceModel model = pieces();
    change(model);
    return refusal([&] { sentencepiece_tokens(serialize(model), "tokenizer.model"); });
  };
  CHECK_THAT(refused([](SentencePieceModel& m) { m.type = ModelType::kUnigram; }), Contains("unigram"));
  CHECK_THAT(refused([](SentencePieceModel& m) { m.normalization_table = "x"; }), Contains("normalizes text"));
  CHECK_THAT(refused([](SentencePieceModel& m) { m.remove_extra_whitespaces = true; }), Contains("several spaces"));
  CHECK_THAT(refused([](SentencePieceModel& m) { m.pieces.resize(3); }), Contains("no byte pieces"));
  CHECK(refused([](SentencePieceModel&) {}).empty());
  SentencePieceModel bare = pieces();
  bare.add_dummy_prefix = false;
  CHECK_FALSE(sentencepiece_tokens(serialize(bare), "tokenizer.model").add_space_prefix);
}

TEST_CASE("a byte-level tokenizer.json gives tokens, merges and the pre-tokenizer that it is") {
  const auto pre = [](const json& file) { return byte_level_tokens(file, "tokenizer.json").pre; };
  const json digits = {{"type", "Digits"}, {"individual_digits", true}};
  CHECK(pre(tokenizer_json(byte_level(true))) == "gpt-2");
  CHECK(pre(tokenizer_json({{"type", "Sequence"}, {"pretokenizers", {digits, byte_level(true)}}})) == "smollm");
  CHECK(pre(tokenizer_json(split_by(kLlama3), true)) == "llama-bpe");
  CHECK(pre(tokenizer_json(split_by(kQwen2), false, {{"type", "NFC"}})) == "qwen2");

  const GgufTokens tokens = byte_level_tokens(tokenizer_json(byte_level(true)), "tokenizer.json");
  CHECK(tokens.model == "gpt2");
  CHECK(tokens.texts == std::vector<std::string>{"a", "b", "ab", "Ġab", "<|end|>", "<tool>"});
  CHECK(tokens.merges == std::vector<std::string>{"a b", "Ġ ab"});
  CHECK(tokens.types[3] == GgufTokenType::kNormal);
  CHECK(tokens.types[4] == GgufTokenType::kControl);
  CHECK(tokens.types[5] == GgufTokenType::kUserDefined);
}

TEST_CASE("a tokenizer.json whose splitting is not known to llama.cpp is refused") {
  const auto refused = [](const json& file) { return refusal([&] { byte_level_tokens(file, "tokenizer.json"); }); };
  const std::string unknown = "not known to be one of llama.cpp's";
  CHECK_THAT(refused(tokenizer_json(split_by(R"(\s+|\w+)"))), Contains(unknown));
  CHECK_THAT(refused(tokenizer_json(split_by(kLlama3), /*ignore_merges=*/false)), Contains(unknown));
  CHECK_THAT(refused(tokenizer_json(split_by(kQwen2))), Contains(unknown));  // qwen2 normalizes
  CHECK_THAT(refused(tokenizer_json(byte_level(true), false, {{"type", "Lowercase"}})), Contains(unknown));
  CHECK_THAT(refused(tokenizer_json({{"type", "Whitespace"}})), Contains(unknown));
  CHECK_THAT(refused(tokenizer_json(nullptr)), Contains(unknown));
  json prefixed = byte_level(true);
  prefixed["add_prefix_space"] = true;
  CHECK_THAT(refused(tokenizer_json(prefixed)), Contains(unknown));
  json ended = tokenizer_json(byte_level(true));
  ended["model"]["end_of_word_suffix"] = "</w>";
  CHECK_THAT(refused(ended), Contains("a suffix at the end of words, \"</w>\""));
  ended["model"]["end_of_word_suffix"] = nullptr;
  CHECK(refused(ended).empty());
  json words = tokenizer_json(byte_level(true));
  words["model"]["type"] = "WordPiece";
  CHECK_THAT(refused(words), Contains("not byte-level BPE"));
  CHECK_THROWS_AS(byte_level_tokens(json::object(), "tokenizer.json"), ModelError);
}
