#pragma once
// Text to token ids and back.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// One token and the bytes [begin, end) of the encoded text that it stands for. The byte tokens of one character share
// its begin. A token that stands for no text (a leading space that the tokenizer adds) has begin == end.
struct Token {
  int64_t id;
  size_t begin;
  size_t end;
};

// Immutable once loaded: every method may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The tokens of `text` in order, begins never falling; no BOS or EOS is added. Any bytes are accepted, NUL and
  // invalid UTF-8 included, and a special token's name in the text stays plain text. An empty text has no tokens.
  virtual std::vector<Token> encode(std::string_view text) const = 0;

  // The text of `ids`; special, unknown and out-of-range ids are dropped. The space that a tokenizer puts before the
  // first word is taken off again, so the text of a continuation is decode(prompt + answer) from decode(prompt) on.
  virtual std::string decode(const std::vector<int64_t>& ids) const = 0;

  // The text of one id, for previews: spaces are spaces, a byte token is its byte, a special token is its name, and an
  // id out of range is "<ID>" in digits. Pieces in order concatenate to readable text.
  virtual std::string piece(int64_t id) const = 0;

  virtual int64_t vocab_size() const = 0;
  virtual std::optional<int64_t> bos_id() const = 0;
  virtual std::optional<int64_t> eos_id() const = 0;
  virtual std::optional<int64_t> pad_id() const = 0;

  // The files that make this tokenizer, for an export to copy beside its weights.
  virtual std::vector<std::filesystem::path> files() const = 0;
};

// Reads the tokenizer of a Hugging Face directory: tokenizer.model (SentencePiece, BPE or unigram). Throws ModelError
// that names what was looked for, or what is wrong with the file.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_directory);

}  // namespace lora
