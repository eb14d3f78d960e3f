// Converts a byte-level tokenizer.json to GGUF.

#include <algorithm>
#include <optional>

#include "lora/export/gguf_tokens.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/network/config.h"

namespace lora {
namespace {

using nlohmann::json;

// A pre-tokenizer that llama.cpp knows. `split`: the regular expression of a Split before the byte-level step, or
// empty. `own_regex`: the byte-level step splits as GPT-2 does. `digits`: each digit is a word of its own.
struct PreTokenizer {
  const char* name;
  const char* split;
  bool own_regex, digits, ignore_merges, nfc;
};

constexpr PreTokenizer kKnown[] = {
    {"gpt-2", "", true, false, false, false},
    {"smollm", "", true, true, false, false},
    {"llama-bpe",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     false, false, true, false},
    {"qwen2",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     false, false, false, true},
};

struct Found {
  std::string split;
  bool byte_level = false, own_regex = false, digits = false, prefix_space = false, other = false;
};

void look_at(const json& step, Found& found) {
  const std::string type = step.value("type", "");
  if (type == "Sequence") {
    for (const json& inner : step.value("pretokenizers", json::array())) look_at(inner, found);
  } else if (type == "ByteLevel") {
    found.byte_level = true;
    found.own_regex = step.value("use_regex", true);
    found.prefix_space = step.value("add_prefix_space", true);
  } else if (type == "Digits" && step.value("individual_digits", false) && !found.digits && !found.byte_level) {
    found.digits = true;
  } else if (type == "Split" && found.split.empty() && !found.byte_level && step.value("behavior", "") == "Isolated" &&
             !step.value("invert", false) && step.contains("pattern") && step["pattern"].contains("Regex")) {
    found.split = step["pattern"]["Regex"];
  } else {
    found.other = true;
  }
}

std::optional<std::string> pre_tokenizer(const json& file, bool ignore_merges) {
  const json none;
  const json& step = file.contains("pre_tokenizer") ? file["pre_tokenizer"] : none;
  const json& normalizer = file.contains("normalizer") ? file["normalizer"] : none;
  if (!step.is_object()) return std::nullopt;
  Found found;
  look_at(step, found);
  if (!found.byte_level || found.prefix_space || found.other) return std::nullopt;
  const bool nfc = normalizer.is_object() && normalizer.value("type", "") == "NFC";
  if (!normalizer.is_null() && !nfc) return std::nullopt;
  for (const PreTokenizer& known : kKnown) {
    if (found.split == known.split && found.own_regex == known.own_regex && found.digits == known.digits &&
        ignore_merges == known.ignore_merges && nfc == known.nfc) {
      return known.name;
    }
  }
  return std::nullopt;
}

void put(GgufTokens& tokens, size_t id, const std::string& text, GgufTokenType type) {
  if (tokens.texts.size() <= id) {
    tokens.texts.resize(id + 1);
    tokens.types.resize(id + 1, GgufTokenType::kUnused);
  }
  tokens.texts[id] = text;
  tokens.types[id] = type;
}

// "a b". A part must not contain a space, which byte-level BPE never has: GGUF would split it at the wrong position.
std::string merge_text(const json& merge) {
  if (merge.is_string()) return merge;
  return merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
}

}  // namespace

GgufTokens byte_level_tokens(const json& file, const std::string& name) {
  const auto refuse = [&](const std::string& what) { throw ExportError("gguf: " + name + ": " + what); };
  GgufTokens tokens{.model = "gpt2"};
  try {
    const json& model = file.at("model");
    if (model.value("type", "") != "BPE" || model.value("byte_fallback", false)) {
      refuse(
          "not byte-level BPE; expected a tokenizer.model beside it, which is read first, or the format huggingface");
    }
    if (const auto suffix = model.find("end_of_word_suffix");
        suffix != model.end() && *suffix != json() && *suffix != "") {
      refuse("a suffix at the end of words, " + suffix->dump() +
             ", which llama.cpp does not know; expected the format "
             "huggingface");
    }
    const auto pre = pre_tokenizer(file, model.value("ignore_merges", false));
    if (!pre) {
      refuse(
          "a pre-tokenizer or normalizer that is not known to be one of llama.cpp's; known are gpt-2, llama-bpe "
          "(Llama 3), qwen2 and smollm. Expected huggingface, from which llama.cpp's own convert_hf_to_gguf.py goes "
          "on");
    }
    tokens.pre = *pre;
    const auto id_of = [&](const json& value) {
      const auto id = integer_of<size_t>(value);
      if (id >= static_cast<size_t>(kMostTokens)) refuse("has a token of id " + std::to_string(id));
      return id;
    };
    for (const auto& item : model.at("vocab").items()) {
      put(tokens, id_of(item.value()), item.key(), GgufTokenType::kNormal);
    }
    for (const json& added : file.value("added_tokens", json::array())) {
      put(tokens, id_of(added.at("id")), added.at("content"),
          added.value("special", false) ? GgufTokenType::kControl : GgufTokenType::kUserDefined);
    }
    for (const json& merge : model.at("merges")) tokens.merges.push_back(merge_text(merge));
  } catch (const json::exception& e) {
    throw ModelError(name + ": not a tokenizer.json: " + e.what());
  }
  return tokens;
}

}  // namespace lora
