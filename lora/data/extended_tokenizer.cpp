// load_tokenizer with new tokens: the tokenizer's files with these added, in a directory of their own that lives as
// long as the tokenizer. Everything that reads or copies a tokenizer's files then has the new tokens.

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "lora/data/template_files.h"
#include "lora/data/tokenizer.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class OwnDirectory {
 public:
  OwnDirectory() {
    std::string pattern = (fs::temp_directory_path() / "lora-tokenizer-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw StorageError(pattern + ": cannot make a directory");
    path_ = pattern;
  }
  ~OwnDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  OwnDirectory(const OwnDirectory&) = delete;
  OwnDirectory& operator=(const OwnDirectory&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

class ExtendedTokenizer final : public Tokenizer {
 public:
  explicit ExtendedTokenizer(std::unique_ptr<OwnDirectory> directory)
      : directory_(std::move(directory)), tokenizer_(load_tokenizer(directory_->path())) {}

  std::vector<Token> encode(std::string_view text, std::span<const TextRange> special) const override {
    return tokenizer_->encode(text, special);
  }
  std::string decode(const std::vector<int64_t>& ids) const override { return tokenizer_->decode(ids); }
  std::string piece(int64_t id) const override { return tokenizer_->piece(id); }
  int64_t vocab_size() const override { return tokenizer_->vocab_size(); }
  std::optional<int64_t> bos_id() const override { return tokenizer_->bos_id(); }
  std::optional<int64_t> eos_id() const override { return tokenizer_->eos_id(); }
  std::optional<int64_t> pad_id() const override { return tokenizer_->pad_id(); }
  bool adds_bos() const override { return tokenizer_->adds_bos(); }
  bool adds_eos() const override { return tokenizer_->adds_eos(); }
  std::string bos_note() const override { return tokenizer_->bos_note(); }
  std::optional<int64_t> id_of(std::string_view name) const override { return tokenizer_->id_of(name); }
  bool is_special(int64_t id) const override { return tokenizer_->is_special(id); }
  std::vector<fs::path> files() const override { return tokenizer_->files(); }

 private:
  std::unique_ptr<OwnDirectory> directory_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

// Name -> id of those that the tokenizer does not have as special tokens. A piece of its vocabulary keeps its id, as
// with transformers' add_tokens; the others follow its largest id.
std::vector<std::pair<std::string, int64_t>> numbered(const std::vector<std::string>& names, const Tokenizer& base) {
  std::vector<std::pair<std::string, int64_t>> tokens;
  int64_t next = base.vocab_size();
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (name.empty() || !seen.insert(name).second) {
      throw RecipeError("model.new_tokens: '" + name + "' is " + (name.empty() ? "empty" : "named twice") +
                        "; expected texts that differ");
    }
    if (base.id_of(name)) continue;
    // A piece's text is its name unless one of the two has spaces or other letters than ASCII's.
    const bool plain = std::ranges::all_of(name, [](char c) { return c > ' ' && c < 127; });
    int64_t id = plain ? 0 : base.vocab_size();
    while (id < base.vocab_size() && base.piece(id) != name) ++id;
    tokens.emplace_back(name, id < base.vocab_size() ? id : next++);
  }
  return tokens;
}

json entry_of(const std::string& name) {
  return {{"content", name}, {"lstrip", false},      {"normalized", false},
          {"rstrip", false}, {"single_word", false}, {"special", true}};
}

void rewrite(const fs::path& file, const std::function<void(json&)>& change) {
  json document = json::object();
  try {
    if (fs::exists(file)) document = parse_json<json>(read_file(file));
    change(document);
  } catch (const json::exception& e) {
    throw ModelError(file.filename().string() + ": cannot take new tokens: " + e.what());
  }
  write_file_atomically(file, document.dump(2) + "\n");
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& model_directory, const std::vector<std::string>& new_tokens) {
  auto base = load_tokenizer(model_directory);
  if (new_tokens.empty()) return base;
  const auto tokens = numbered(new_tokens, *base);
  if (tokens.empty()) return base;
  auto directory = std::make_unique<OwnDirectory>();
  for (const fs::path& file : base->files()) fs::copy_file(file, directory->path() / file.filename());
  // Those in additional_chat_templates too.
  if (const TemplateFiles own = read_template_files(model_directory); !own.text.empty()) {
    write_template_files(directory->path(), own);
  }
  if (const fs::path file = directory->path() / "tokenizer.json"; fs::exists(file)) {
    rewrite(file, [&](json& document) {
      json& added = document["added_tokens"];
      if (!added.is_array()) added = json::array();
      for (const auto& [name, id] : tokens) {
        std::erase_if(added.get_ref<json::array_t&>(),
                      [&name = name](const json& one) { return one.at("content") == name; });
        json entry = entry_of(name);
        entry["id"] = id;
        added.push_back(entry);
      }
    });
  }
  // Decides on BOS with the model type.
  if (const fs::path config = model_directory / "config.json"; fs::exists(config)) {
    fs::copy_file(config, directory->path() / "config.json");
  }
  rewrite(directory->path() / "tokenizer_config.json", [&](json& document) {
    if (document.empty()) document = {{"add_bos_token", base->adds_bos()}, {"add_eos_token", base->adds_eos()}};
    for (const auto& [name, id] : tokens) document["added_tokens_decoder"][std::to_string(id)] = entry_of(name);
  });
  return std::make_unique<ExtendedTokenizer>(std::move(directory));
}

}  // namespace lora
