#include "lora/data/tokenizer.h"

#include "lora/data/sentencepiece_tokenizer.h"
#include "lora/data/tokenizers/tokenizer_config.h"
#include "models/error.h"

namespace lora {

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_directory) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(model_directory)) throw ModelError(model_directory.string() + ": no such directory");
  const fs::path model = model_directory / "tokenizer.model";
  if (!fs::is_regular_file(model)) {
    std::string message = model.string() + ": not found, wanted a SentencePiece model";
    if (fs::exists(model_directory / "tokenizer.json")) message += "; tokenizer.json is there, but not supported yet";
    throw ModelError(message);
  }
  const TokenizerConfig config = read_tokenizer_config(model_directory);
  std::vector<fs::path> files = {model};
  files.insert(files.end(), config.files.begin(), config.files.end());
  if (fs::is_regular_file(model_directory / "tokenizer.json")) files.push_back(model_directory / "tokenizer.json");
  return load_sentencepiece(model, config, std::move(files));
}

}  // namespace lora
