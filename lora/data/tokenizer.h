#pragma once
// Text to token ids and back.

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

// One token and the bytes [begin, end) of the encoded text that it stands for. The byte tokens of one character share
// its begin. A token that stands for no text (a leading space that the tokenizer adds) has begin == end. Text that a
// tokenizer leaves out (surplus spaces) belongs to the token before it.
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

// Immutable once loaded: every method may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The tokens of `text` in order, begins never falling; no BOS or EOS is added. Any bytes are accepted, NUL and
  // invalid UTF-8 included (read as U+FFFD). The name of a special token is that token only where it lies wholly inside
  // one of the ranges of `special` (sorted, disjoint: what a chat template wrote, not what a user did); elsewhere it is
  // plain text. An empty text has no tokens.
  virtual std::vector<Token> encode(std::string_view text, std::span<const TextRange> special = {}) const = 0;

  // The text of `ids`; special, unknown and out-of-range ids are dropped. The space that a tokenizer puts before the
  // first word is taken off again, so the text of a continuation is decode(prompt + answer) from decode(prompt) on.
  virtual std::string decode(const std::vector<int64_t>& ids) const = 0;

  // The text of one id, for previews: spaces are spaces, a byte token is its byte, a special token is its name, and an
  // id out of range is "<ID>" in digits. Pieces in order concatenate to readable text.
  virtual std::string piece(int64_t id) const = 0;

  // The largest id and one; a model may have more rows than that.
  virtual int64_t vocab_size() const = 0;

  // The tokens of those names in tokenizer_config.json, special_tokens_map.json, or the tokenizer's own file.
  virtual std::optional<int64_t> bos_id() const = 0;
  virtual std::optional<int64_t> eos_id() const = 0;
  virtual std::optional<int64_t> pad_id() const = 0;

  // Whether the tokenizer itself puts BOS before a text, EOS behind it: `add_bos_token`, `add_eos_token`, else what the
  // file's post-processor does. Never without the id. (A chat template writes its own.)
  virtual bool adds_bos() const = 0;
  virtual bool adds_eos() const = 0;

  // The id of the special token (a control token, never a piece of text) called `name`.
  virtual std::optional<int64_t> id_of(std::string_view name) const = 0;
  virtual bool is_special(int64_t id) const = 0;

  // The files that make this tokenizer, for an export to copy beside its weights.
  virtual std::vector<std::filesystem::path> files() const = 0;
};

// Reads the tokenizer of a Hugging Face directory, with the special and added tokens of the small JSON files beside it:
// tokenizer.json (`tokenizers`) where there is one, as transformers does, else tokenizer.model (SentencePiece, BPE or
// unigram), else vocab.json and merges.txt. Throws ModelError that names what was looked for, or what is wrong with a
// file or not supported, and where in it.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_directory);

}  // namespace lora
