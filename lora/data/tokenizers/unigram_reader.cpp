#include "lora/data/tokenizers/unigram_reader.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

#include "lora/data/tokenizers/bpe_reader.h"
#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora {

Unigram read_unigram(const JsonView& object, const std::vector<AddedToken>& added) {
  const JsonView vocab = object.at("vocab");
  const nlohmann::json& entries = vocab.array();
  if (entries.empty() || entries.size() > static_cast<size_t>(kMostIds)) {
    vocab.fail("found " + std::to_string(entries.size()) + " pieces, expected 1 to " + std::to_string(kMostIds));
  }
  std::unordered_set<std::string_view> names;
  for (const AddedToken& token : added) names.insert(token.content);
  Vocabulary pieces(entries.size(), 8 * entries.size());
  std::vector<double> scores;
  for (const nlohmann::json& entry : entries) {
    const auto id = static_cast<uint32_t>(scores.size());
    const auto fail = [&](const std::string& problem) { vocab.fail("piece " + std::to_string(id) + ": " + problem); };
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number() ||
        !std::isfinite(entry[1].get<double>())) {
      fail("expected a text and its score, found " +
           entry.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    }
    const auto& text = entry[0].get_ref<const std::string&>();
    if (const uint32_t other = pieces.id_of(text); other != Vocabulary::kNone) {
      fail("'" + text + "' is piece " + std::to_string(other) + " too");
    }
    pieces.add(text, id, /*found=*/!names.contains(text));
    scores.push_back(entry[1].get<double>());
  }
  check_added(vocab, pieces, added);
  UnigramOptions options;
  options.byte_fallback = object.boolean_or("byte_fallback", false);
  if (const auto unk = object.find("unk_id")) {
    options.unk = static_cast<uint32_t>(unk->integer(static_cast<int64_t>(entries.size()) - 1));
  }
  return Unigram(std::move(pieces), std::move(scores), options);
}

}  // namespace lora
