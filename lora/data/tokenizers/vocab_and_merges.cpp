#include "lora/data/tokenizers/vocab_and_merges.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "lora/data/tokenizers/json_view.h"
#include "models/base/error.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

using nlohmann::json;

constexpr const char* kQwen2Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", use_regex}};
}

json read_merges(const std::filesystem::path& path) {
  std::istringstream file(read_file(path));
  json merges = json::array();
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(line);
  }
  return merges;
}

std::string tokenizer_class(const std::filesystem::path& directory) {
  const auto path = directory / "tokenizer_config.json";
  if (!std::filesystem::is_regular_file(path)) {
    throw ModelError(path.string() + ": not found; vocab.json and merges.txt need its 'tokenizer_class'");
  }
  const json document = read_json(path);
  const JsonView name = JsonView(document, path.string()).at("tokenizer_class");
  std::string type = name.string();
  if (type.ends_with("Fast")) type.resize(type.size() - 4);
  if (type != "GPT2Tokenizer" && type != "Qwen2Tokenizer") {
    name.fail("found '" + type +
              "' beside vocab.json and merges.txt, expected GPT2Tokenizer or Qwen2Tokenizer, or a "
              "tokenizer.json");
  }
  return type;
}

}  // namespace

json read_vocab_and_merges(const std::filesystem::path& directory) {
  const bool qwen2 = tokenizer_class(directory) == "Qwen2Tokenizer";
  json words = byte_level(true);
  if (qwen2) {
    const json split = {
        {"type", "Split"}, {"pattern", {{"Regex", kQwen2Words}}}, {"behavior", "Isolated"}, {"invert", false}};
    words = {{"type", "Sequence"}, {"pretokenizers", json::array({split, byte_level(false)})}};
  }
  json document = {{"pre_tokenizer", std::move(words)}, {"decoder", byte_level(true)}};
  if (qwen2) document["normalizer"] = {{"type", "NFC"}};
  document["model"] = {{"type", "BPE"},
                       {"vocab", read_json(directory / "vocab.json")},
                       {"merges", read_merges(directory / "merges.txt")}};
  return document;
}

}  // namespace lora
