#pragma once
// Converts text to token ids and back.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// One token, and the bytes [begin, end) of the encoded text that it represents. The byte tokens of one character share
// its begin. A token without text (for example a leading space that the tokenizer adds) has begin == end. Text that a
// tokenizer drops (surplus spaces) belongs to the token before it.
struct Token {
  int64_t id;
  size_t begin;
  size_t end;
};

// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin;
  size_t end;
};

// Immutable: all methods are thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The tokens of `text` in order; begins never decrease. Adds no BOS or EOS. Accepts any bytes, including NUL and
  // invalid UTF-8 (read as U+FFFD). The name of a special token is that token only inside one of the ranges of
  // `special` (sorted, disjoint; the parts that a chat template wrote). Elsewhere, for example in a user's text, it is
  // ordinary text. An empty text has no tokens.
  virtual std::vector<Token> encode(std::string_view text, std::span<const TextRange> special = {}) const = 0;

  // The text of `ids`. Drops special, unknown and out-of-range ids. Removes the space that a tokenizer adds before the
  // first word. The text of a continuation is therefore decode(prompt + answer) after its prefix decode(prompt).
  virtual std::string decode(const std::vector<int64_t>& ids) const = 0;

  // The text of one id, for previews. Spaces are spaces, a byte token is its byte, a special token is its name, and an
  // out-of-range id is "<ID>" in digits. Pieces concatenate to readable text.
  virtual std::string piece(int64_t id) const = 0;

  // The largest id plus one. A model may have more rows.
  virtual int64_t vocab_size() const = 0;

  // As named in tokenizer_config.json, special_tokens_map.json, or the tokenizer's own file.
  virtual std::optional<int64_t> bos_id() const = 0;
  virtual std::optional<int64_t> eos_id() const = 0;
  virtual std::optional<int64_t> pad_id() const = 0;

  // True if the tokenizer adds BOS before a text, or EOS after it; tokenizers/surroundings.h has the rules. False
  // without the id. (A chat template writes its own.)
  virtual bool adds_bos() const = 0;
  virtual bool adds_eos() const = 0;
  // For a person: whether BOS is put before a text and why, where transformers' versions 4 and 5 differ; else empty.
  virtual std::string bos_note() const { return ""; }

  // The id of the special token `name` (a control token, never a piece of text).
  virtual std::optional<int64_t> id_of(std::string_view name) const = 0;
  virtual bool is_special(int64_t id) const = 0;

  // The files of this tokenizer; an export copies them next to its weights.
  virtual std::vector<std::filesystem::path> files() const = 0;
};

// Loads the tokenizer of a Hugging Face directory, with the special and added tokens of its small JSON files. Like
// transformers, it prefers tokenizer.json (`tokenizers`); then tokenizer.model (SentencePiece, BPE or unigram); then
// vocab.json and merges.txt. Throws ModelError with the files it looked for, or with the file and place of an error or
// an unsupported setting.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_directory);

// The same with these special tokens besides, as transformers' add_tokens numbers them: behind the largest id, in their
// order; a piece of the vocabulary keeps its id, and a special token that is there already stays as it is. files() then
// are copies that have the tokens, and live as long as the tokenizer. RecipeError for a name that is given twice.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_directory,
                                          const std::vector<std::string>& new_tokens);

// "'<pad>', id 32000, for which the model has no row …": for errors.
std::string row_problem(const Tokenizer& tokenizer, int64_t id, int64_t rows);

}  // namespace lora
