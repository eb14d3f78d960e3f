#include "lora/export/gguf_vocabulary.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "lora/data/sentencepiece_check.h"
#include "lora/export/gguf_tokens.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/out_of_memory.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr float kScoreOfUnused = -10000, kScoreOfAdded = -1000;  // as in llama.cpp's converter

// The JSON object in a file; empty if the file is missing.
json read_object(const fs::path& path) {
  if (!fs::exists(path)) return json::object();
  try {
    json object = parse_json<json>(read_file(path));
    if (object.is_object()) return object;
  } catch (const json::exception& e) {
    throw ModelError(path.string() + ": not valid JSON: " + e.what());
  }
  throw ModelError(path.string() + ": expected a JSON object");
}

GgufTokens tokens_of(const fs::path& directory) {
  const fs::path pieces = directory / "tokenizer.model", merges = directory / "tokenizer.json";
  if (fs::exists(pieces)) {
    const std::string bytes = read_file(pieces);
    if (!is_tiktoken(bytes) || !fs::exists(merges)) return sentencepiece_tokens(bytes, pieces.string());
  }
  if (fs::exists(merges)) return byte_level_tokens(read_object(merges), merges.string());
  throw ExportError("gguf: " + directory.string() +
                    ": neither tokenizer.model nor tokenizer.json, and a GGUF holds its "
                    "tokenizer");
}

void put_token(GgufTokens& tokens, size_t id, const std::string& text, GgufTokenType type) {
  if (id >= tokens.texts.size()) return;  // the model has no row for it
  tokens.texts[id] = text;
  tokens.types[id] = type;
  if (!tokens.scores.empty()) tokens.scores[id] = kScoreOfAdded;
}

// Reads the tokens that other files add to a SentencePiece model.
void put_added(GgufTokens& tokens, const fs::path& directory, const json& settings) {
  const json added = read_object(directory / "added_tokens.json");
  for (const auto& item : added.items()) {
    put_token(tokens, integer_of<size_t>(item.value()), item.key(), GgufTokenType::kUserDefined);
  }
  const json decoder = settings.value("added_tokens_decoder", json::object());
  for (const auto& item : decoder.items()) {
    const bool special = item.value().value("special", false);
    const size_t id = std::stoull(item.key());
    // Pieces of the model itself keep their scores.
    if (id < tokens.texts.size() && tokens.texts[id] == item.value().at("content")) {
      if (special && tokens.types[id] == GgufTokenType::kNormal) tokens.types[id] = GgufTokenType::kControl;
      continue;
    }
    put_token(tokens, id, item.value().at("content"), special ? GgufTokenType::kControl : GgufTokenType::kUserDefined);
  }
}

void put_chat_templates(GgufMetadata& metadata, const TemplateFiles& templates) {
  if (templates.text.empty()) return;
  metadata.emplace_back("tokenizer.chat_template", templates.text);
  std::vector<std::string> others;
  for (const auto& [name, text] : templates.others) {
    others.push_back(name);
    metadata.emplace_back("tokenizer.chat_template." + name, text);
  }
  if (!others.empty()) metadata.emplace_back("tokenizer.chat_templates", others);
}

}  // namespace

GgufMetadata gguf_vocabulary(const fs::path& directory, const Tokenizer* found, const ModelConfig& config,
                             const TemplateFiles& templates, const std::vector<int64_t>& ends) {
  if (!found) return {{"tokenizer.ggml.model", "no_vocab"}};
  const Tokenizer& tokenizer = *found;
  const json settings = read_object(directory / "tokenizer_config.json");
  GgufTokens tokens = tokens_of(directory);
  const auto rows = static_cast<size_t>(config.vocab_size);
  const size_t known = tokens.texts.size();
  tokens.texts.resize(rows);
  tokens.types.resize(rows, GgufTokenType::kUnused);
  if (tokens.model == "llama") {
    tokens.scores.resize(rows, kScoreOfUnused);
    try {
      put_added(tokens, directory, settings);
    } catch (const std::exception& e) {
      if (is_out_of_memory(e)) throw;
      throw ModelError(directory.string() + ": added tokens that cannot be read: " + e.what());
    }
  }
  for (size_t id = 0; id < rows; ++id) {
    const bool unused = id >= known || tokens.types[id] == GgufTokenType::kUnused;
    if (unused && tokens.texts[id].empty()) tokens.texts[id] = "[PAD" + std::to_string(id) + "]";
  }

  GgufMetadata metadata = {{"tokenizer.ggml.model", tokens.model}, {"tokenizer.ggml.pre", tokens.pre}};
  std::vector<int32_t> types;
  std::optional<uint32_t> unknown;
  for (size_t id = 0; id < rows; ++id) {
    types.push_back(static_cast<int32_t>(tokens.types[id]));
    if (tokens.types[id] == GgufTokenType::kUnknown) unknown = static_cast<uint32_t>(id);
  }
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(tokens.texts));
  if (!tokens.scores.empty()) metadata.emplace_back("tokenizer.ggml.scores", std::move(tokens.scores));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(types));
  if (!tokens.merges.empty()) metadata.emplace_back("tokenizer.ggml.merges", std::move(tokens.merges));
  const auto put_id = [&](const std::string& key, std::optional<int64_t> id) {
    if (id && *id < config.vocab_size) metadata.emplace_back("tokenizer.ggml." + key, static_cast<uint32_t>(*id));
  };
  put_id("bos_token_id", tokenizer.bos_id() ? tokenizer.bos_id() : config.bos_token_id);
  const std::optional<int64_t> eos = tokenizer.eos_id()             ? tokenizer.eos_id()
                                     : config.eos_token_ids.empty() ? std::nullopt
                                                                    : std::optional(config.eos_token_ids.front());
  put_id("eos_token_id", eos);
  const auto turn = std::ranges::find_if(ends, [&](int64_t id) { return id != eos; });
  if (turn != ends.end()) put_id("eot_token_id", *turn);
  put_id("unknown_token_id", unknown);
  put_id("padding_token_id", tokenizer.pad_id());
  metadata.emplace_back("tokenizer.ggml.add_bos_token", tokenizer.adds_bos());
  metadata.emplace_back("tokenizer.ggml.add_eos_token", tokenizer.adds_eos());
  if (tokens.model == "llama") metadata.emplace_back("tokenizer.ggml.add_space_prefix", tokens.add_space_prefix);
  put_chat_templates(metadata, templates);
  return metadata;
}

}  // namespace lora
