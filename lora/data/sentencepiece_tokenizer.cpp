#include "lora/data/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "lora/data/sentencepiece_check.h"
#include "models/error.h"

namespace lora {
namespace {

constexpr std::string_view kSpace = "\u2581";  // SentencePiece's space inside a piece

std::optional<int64_t> if_present(int id) { return id < 0 ? std::nullopt : std::optional<int64_t>(id); }

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::string& bytes, std::string name, std::vector<std::filesystem::path> files)
      : name_(std::move(name)), files_(std::move(files)) {
    require(processor_.LoadFromSerializedProto(bytes), "cannot be loaded");
    bos_ = if_present(processor_.bos_id());
    eos_ = if_present(processor_.eos_id());
    pad_ = if_present(processor_.pad_id());
  }

  std::vector<Token> encode(std::string_view text) const override {
    sentencepiece::ImmutableSentencePieceText encoded;
    require(processor_.Encode(text, encoded.mutable_proto()), "cannot encode a text");
    std::vector<Token> tokens;
    tokens.reserve(encoded.pieces_size());
    for (size_t i = 0; i < encoded.pieces_size(); ++i) {
      const auto piece = encoded.pieces(static_cast<int>(i));
      tokens.push_back({static_cast<int64_t>(piece.id()), piece.begin(), piece.end()});
    }
    return tokens;
  }

  std::string decode(const std::vector<int64_t>& ids) const override {
    std::vector<int> known;
    known.reserve(ids.size());
    for (const int64_t id : ids) {
      if (id < 0 || id >= vocab_size()) continue;
      const int narrow = static_cast<int>(id);
      if (!processor_.IsControl(narrow) && !processor_.IsUnknown(narrow)) known.push_back(narrow);
    }
    std::string text;
    require(processor_.Decode(known, &text), "cannot decode ids");
    return text;
  }

  std::string piece(int64_t id) const override {
    if (id < 0 || id >= vocab_size()) return std::string("<").append(std::to_string(id)).append(">");
    const int narrow = static_cast<int>(id);
    std::string_view stored = processor_.IdToPiece(narrow);
    if (processor_.IsByte(narrow)) {  // "<0x0A>"
      return {static_cast<char>(std::stoi(std::string(stored.substr(3)), nullptr, 16))};
    }
    std::string text;
    for (size_t space = stored.find(kSpace); space != stored.npos; space = stored.find(kSpace)) {
      text.append(stored, 0, space).push_back(' ');
      stored.remove_prefix(space + kSpace.size());
    }
    return text.append(stored);
  }

  int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  std::optional<int64_t> bos_id() const override { return bos_; }
  std::optional<int64_t> eos_id() const override { return eos_; }
  std::optional<int64_t> pad_id() const override { return pad_; }
  std::vector<std::filesystem::path> files() const override { return files_; }

 private:
  void require(const sentencepiece::util::Status& status, const char* what) const {
    if (!status.ok()) throw ModelError(name_ + ": " + what + ": " + status.message());
  }

  const std::string name_;
  const std::vector<std::filesystem::path> files_;
  sentencepiece::SentencePieceProcessor processor_;
  std::optional<int64_t> bos_, eos_, pad_;
};

std::string read_model(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) throw ModelError(path.string() + ": cannot be read");
  return bytes;
}

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& model,
                                              std::vector<std::filesystem::path> files) {
  // It prints what it also returns, and our callers decide what is printed.
  sentencepiece::SetMinLogLevel(3);
  const std::string bytes = read_model(model);
  if (bytes.starts_with("version https://git-lfs")) {
    throw ModelError(model.string() + ": found a Git LFS pointer, wanted the file itself; run git lfs pull");
  }
  check_sentencepiece_model(bytes, model.string());
  try {
    return std::make_unique<SentencePieceTokenizer>(bytes, model.string(), std::move(files));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // its trie builder throws
    throw ModelError(model.string() + ": cannot be loaded: " + error.what());
  }
}

}  // namespace lora
