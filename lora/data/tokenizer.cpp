#include "lora/data/tokenizer.h"

#include <nlohmann/json.hpp>

#include "lora/data/sentencepiece_tokenizer.h"
#include "lora/data/tokenizers/json_tokenizer.h"
#include "lora/data/tokenizers/json_view.h"
#include "lora/data/tokenizers/tokenizer_config.h"
#include "lora/data/tokenizers/unigram.h"
#include "lora/data/tokenizers/vocab_and_merges.h"
#include "models/base/error.h"

namespace lora {

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_directory) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(model_directory)) throw ModelError(model_directory.string() + ": no such directory");
  TokenizerConfig config = read_tokenizer_config(model_directory);
  std::vector<fs::path> files;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt"}) {
    if (fs::is_regular_file(model_directory / name)) files.push_back(model_directory / name);
  }
  files.insert(files.end(), config.files.begin(), config.files.end());
  // A pipe or a folder of such a name is refused where it is read.
  const auto has = [&](const char* name) { return fs::exists(model_directory / name); };

  if (const fs::path path = model_directory / "tokenizer.json"; has("tokenizer.json")) {
    const nlohmann::json document = read_json(path);
    if (!is_unigram(document) || !has("tokenizer.model")) {
      return make_json_tokenizer(document, path.string(), config, std::move(files));
    }
    const JsonView root(document, path.string());
    const SettledSurroundings around = add_from_unigram(root, config);
    auto tokenizer = load_sentencepiece(model_directory / "tokenizer.model", config, std::move(files), around);
    expect_same_pieces(root, *tokenizer);
    return tokenizer;
  }
  if (has("tokenizer.model")) {
    return load_sentencepiece(model_directory / "tokenizer.model", config, std::move(files));
  }
  if (has("vocab.json") && has("merges.txt")) {
    const std::string name = (model_directory / "vocab.json").string();
    return make_json_tokenizer(read_vocab_and_merges(model_directory), name, config, std::move(files),
                               TokenizerFile::kVocabAndMerges);
  }
  throw ModelError(model_directory.string() +
                   ": no tokenizer found, expected tokenizer.json, tokenizer.model, or vocab.json and merges.txt");
}

std::string row_problem(const Tokenizer& tokenizer, int64_t id, int64_t rows) {
  return "'" + tokenizer.piece(id) + "', id " + std::to_string(id) +
         ", for which the model has no row ('vocab_size' is " + std::to_string(rows) +
         "); expected a text without this token, or model.new_tokens, which adds rows";
}

}  // namespace lora
