#include "lora/data/tokenizers/unigram.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lora/data/tokenizers/decoder.h"
#include "lora/data/tokenizers/post_processor.h"
#include "lora/data/tokenizers/vocabulary.h"

namespace lora {
namespace {

// As Tokenizer::piece shows a piece.
std::string shown_piece(std::string name) {
  if (const int byte = byte_of_name(name); byte >= 0) return {static_cast<char>(byte)};
  for (size_t at = 0; (at = name.find(kSpacePiece, at)) != name.npos; ++at) name.replace(at, kSpacePiece.size(), " ");
  return name;
}

// The prepend_scheme of a Metaspace, alone or in a Sequence; empty: there is none.
std::string prepend_scheme(const JsonView& pre_tokenizer) {
  if (pre_tokenizer.at("type").string() == "Metaspace") {
    return pre_tokenizer.string_or("prepend_scheme",
                                   pre_tokenizer.boolean_or("add_prefix_space", true) ? "always" : "never");
  }
  std::string found;
  if (const auto steps = pre_tokenizer.find("pretokenizers")) {
    for (const JsonView& step : steps->elements()) {
      if (found.empty()) found = prepend_scheme(step);
    }
  }
  return found;
}

}  // namespace

bool is_unigram(const nlohmann::json& document) {
  static const nlohmann::json::json_pointer kType("/model/type");
  return document.is_object() && document.contains(kType) && document[kType] == "Unigram";
}

SettledSurroundings add_from_unigram(const JsonView& root, TokenizerConfig& config) {
  if (const auto entries = root.find("added_tokens")) {
    for (const JsonView& entry : entries->elements()) {
      AddedToken token = read_added_token(entry);
      token.id = entry.at("id").integer(kMostIds);
      const auto known = [&](const AddedToken& other) { return other.content == token.content; };
      if (std::ranges::none_of(config.added, known)) config.added.push_back(std::move(token));
    }
  }
  Surroundings by_processor;
  if (const auto processor = root.find("post_processor")) by_processor = read_post_processor(*processor);
  SettledSurroundings around = settle_surroundings(config, TokenizerFile::kJson, by_processor, true, true);
  if (around.names.before) config.bos = around.names.before;
  if (around.names.behind) config.eos = around.names.behind;
  if (const auto pre_tokenizer = root.find("pre_tokenizer"); pre_tokenizer && !config.legacy) {
    config.legacy = prepend_scheme(*pre_tokenizer) == "always";
  }
  return around;
}

void expect_same_pieces(const JsonView& root, const Tokenizer& tokenizer) {
  const JsonView vocab = root.at("model").at("vocab");
  int64_t id = 0;
  for (const nlohmann::json& entry : vocab.array()) {
    if (!entry.is_array() || entry.empty() || !entry[0].is_string()) {
      vocab.fail("found " + std::string(entry.type_name()) + ", expected pairs of a piece and its score");
    }
    const auto name = entry[0].get<std::string>();
    if (const std::string piece = tokenizer.piece(id); piece != shown_piece(name) && piece != name) {
      vocab.fail("id " + std::to_string(id) + " is '" + name + "', and '" + piece +
                 "' in tokenizer.model; expected the same pieces in both files");
    }
    ++id;
  }
}

}  // namespace lora
