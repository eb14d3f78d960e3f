#include "lora/data/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "lora/data/sentencepiece_check.h"
#include "lora/data/tokenizers/added_tokens.h"
#include "lora/data/tokenizers/unicode.h"
#include "lora/data/tokenizers/vocabulary.h"
#include "models/base/error.h"
#include "models/base/file_kind.h"
#include "models/base/memory_reserve.h"
#include "models/base/out_of_memory.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

std::optional<int64_t> if_present(int id) { return id < 0 ? std::nullopt : std::optional<int64_t>(id); }

// A second normalizer_spec with add_dummy_prefix = false. Appended to a serialized model, protobuf merges it into the
// first.
constexpr std::string_view kNoDummyPrefix{"\x1a\x02\x18\x00", 4};

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::string& bytes, std::string name, const TokenizerConfig& config,
                         std::vector<std::filesystem::path> files, const std::optional<SettledSurroundings>& said)
      : name_(std::move(name)), files_(std::move(files)), prefix_everywhere_(config.legacy.value_or(false)) {
    {
      const MemoryReserve reserve(16 * bytes.size() + (size_t{1} << 20));  // see filled()
      require(first_.LoadFromSerializedProto(bytes), "cannot be loaded");
      require(later_.LoadFromSerializedProto(bytes + std::string(kNoDummyPrefix)), "cannot be loaded");
    }
    cuts_behind_lines_ = finds_independent_lines();
    take_added(config);
    bos_ = config.bos ? named("bos_token", *config.bos) : if_present(first_.bos_id());
    eos_ = config.eos ? named("eos_token", *config.eos) : if_present(first_.eos_id());
    // A padding token without an id is common, and nothing here uses it.
    pad_ = config.pad ? find_id(*config.pad) : if_present(first_.pad_id());
    const SettledSurroundings around =
        said.value_or(settle_surroundings(config, TokenizerFile::kModel, {}, bos_.has_value(), eos_.has_value()));
    adds_bos_ = bos_ && around.before;
    adds_eos_ = eos_ && around.behind;
    if (bos_ && !around.note.empty()) bos_note_ = "'" + SentencePieceTokenizer::piece(*bos_) + "' is " + around.note;
  }

  std::vector<Token> encode(std::string_view text, std::span<const TextRange> special) const override {
    const auto may_stand = [special](size_t begin, size_t end) { return inside(special, begin, end); };
    std::vector<Token> tokens;
    size_t done = 0;
    for (const AddedMatch& match : added_.find(text, may_stand)) {
      encode_stretch(text, done, match.begin, tokens);
      tokens.push_back({match.id, match.begin, match.end});
      done = match.end;
    }
    encode_stretch(text, done, text.size(), tokens);
    return tokens;
  }

  std::string decode(const std::vector<int64_t>& ids) const override {
    // Added tokens that are words separate parts of ordinary text.
    std::string text;
    std::vector<int> known;
    bool first = true;
    const auto flush = [&] {
      const auto& processor = first || prefix_everywhere_ ? first_ : later_;
      text += filled([&](auto* to) { return processor.Decode(known, to); }, "cannot decode ids")->text();
      first = first && known.empty();
      known.clear();
    };
    for (const int64_t id : ids) {
      if (is_special(id)) continue;
      if (const AddedToken* token = added_.by_id(id); token && id >= pieces()) {
        flush();
        text += token->content;
        first = false;
      } else if (id >= 0 && id < pieces() && !first_.IsUnknown(static_cast<int>(id))) {
        known.push_back(static_cast<int>(id));
      }
    }
    flush();
    return text;
  }

  std::string piece(int64_t id) const override {
    if (const AddedToken* token = added_.by_id(id)) return token->content;
    if (id < 0 || id >= pieces()) return std::string("<").append(std::to_string(id)).append(">");
    const int narrow = static_cast<int>(id);
    std::string_view stored = first_.IdToPiece(narrow);
    if (first_.IsByte(narrow)) {  // "<0x0A>"
      return {static_cast<char>(std::stoi(std::string(stored.substr(3)), nullptr, 16))};
    }
    std::string text;
    for (size_t space = stored.find(kSpacePiece); space != stored.npos; space = stored.find(kSpacePiece)) {
      text.append(stored, 0, space).push_back(' ');
      stored.remove_prefix(space + kSpacePiece.size());
    }
    return text.append(stored);
  }

  int64_t vocab_size() const override { return vocab_size_; }
  std::optional<int64_t> bos_id() const override { return bos_; }
  std::optional<int64_t> eos_id() const override { return eos_; }
  std::optional<int64_t> pad_id() const override { return pad_; }
  bool adds_bos() const override { return adds_bos_; }
  bool adds_eos() const override { return adds_eos_; }
  std::string bos_note() const override { return bos_note_; }
  std::optional<int64_t> id_of(std::string_view name) const override {
    const AddedToken* token = added_.by_name(name);
    return token && token->special ? std::optional(token->id) : std::nullopt;
  }
  bool is_special(int64_t id) const override {
    const AddedToken* token = added_.by_id(id);
    return token && token->special;
  }
  std::vector<std::filesystem::path> files() const override { return files_; }

 private:
  int64_t pieces() const { return first_.GetPieceSize(); }

  void require(const sentencepiece::util::Status& status, const char* what) const {
    if (!status.ok()) throw ModelError(name_ + ": " + what + ": " + status.message());
  }

  // What `fill` writes. protobuf, which holds it, does not survive an allocation that fails: its destructor would read
  // what was never written. It is left to the system then.
  template <class Fill>
  std::unique_ptr<sentencepiece::ImmutableSentencePieceText> filled(Fill fill, const char* what) const {
    auto text = std::make_unique<sentencepiece::ImmutableSentencePieceText>();
    try {
      require(fill(text->mutable_proto()), what);
    } catch (const std::bad_alloc&) {
      static_cast<void>(text.release());
      throw;
    }
    return text;
  }

  // The model's control and unknown symbols are special. `config` adds tokens and marks pieces as special.
  void take_added(const TokenizerConfig& config) {
    std::vector<AddedToken> tokens, whole_pieces;
    const auto add = [&](AddedToken token) {
      const int64_t piece = first_.PieceToId(token.content);
      const bool known = piece < pieces() && first_.IdToPiece(static_cast<int>(piece)) == token.content;
      if (known ? token.id != piece : token.id < pieces()) {
        throw ModelError(name_ + ": the added token '" + token.content + "' has id " + std::to_string(token.id) +
                         ", which " + (known ? "is " + std::to_string(piece) + " in the model" : "is another piece's"));
      }
      if (token.special && known && !first_.IsControl(static_cast<int>(piece))) whole_pieces.push_back(token);
      tokens.push_back(std::move(token));
    };
    for (int id = 0; id < first_.GetPieceSize(); ++id) {
      if (!first_.IsControl(id) && !first_.IsUnknown(id)) continue;
      AddedToken token{.content = first_.IdToPiece(id), .id = id};
      token.special = true;
      tokens.push_back(std::move(token));
    }
    for (const AddedToken& token : config.added) add(token);
    for (const std::string& name : config.special) {
      const int64_t id = first_.PieceToId(name);
      if (first_.IdToPiece(static_cast<int>(id)) != name) continue;
      AddedToken token{.content = name, .id = id};
      token.special = true;
      add(std::move(token));
    }
    added_ = AddedTokens(std::move(tokens));
    special_pieces_ = AddedTokens(std::move(whole_pieces));
    vocab_size_ = pieces();
    for (const AddedToken& token : added_.tokens()) vocab_size_ = std::max(vocab_size_, token.id + 1);
  }

  std::optional<int64_t> find_id(const std::string& name) const {
    if (const AddedToken* token = added_.by_name(name)) return token->id;
    return std::nullopt;
  }

  int64_t named(const char* key, const std::string& name) const {
    if (const auto id = find_id(name)) return *id;
    throw ModelError(name_ + ": tokenizer_config.json calls '" + name + "' its " + key +
                     ", but no piece and no added token has that name");
  }

  // SentencePiece itself would find special pieces that are user-defined and not control symbols. So it receives their
  // names in two halves.
  void encode_stretch(std::string_view text, size_t begin, size_t end, std::vector<Token>& tokens) const {
    const auto stretch = text.substr(begin, end - begin);
    size_t done = 0;
    for (const AddedMatch& match : special_pieces_.find(stretch, [](size_t, size_t) { return true; })) {
      const size_t half = match.begin + character_at(stretch, match.begin).length;
      encode_plain(stretch.substr(done, half - done), begin + done, done == 0, tokens);
      done = half;
    }
    encode_plain(stretch.substr(done), begin + done, done == 0, tokens);
  }

  // SentencePiece needs 240 bytes of memory for each byte of a text, so it receives a large text in parts.
  void encode_plain(std::string_view text, size_t offset, bool whole, std::vector<Token>& tokens) const {
    const auto* processor = offset == 0 || (prefix_everywhere_ && whole) ? &first_ : &later_;
    while (!text.empty()) {
      const size_t length = part_length(text);
      if (length > kLargestPart) {
        throw DataError(name_ + ": a text has " + std::to_string(length) + " bytes" +
                        (cuts_behind_lines_ ? " without a line end" : "") + ", expected at most " +
                        std::to_string(kLargestPart >> 20) + " MiB at once; make several rows of it");
      }
      encode_part(*processor, text.substr(0, length), offset, tokens);
      text.remove_prefix(length);
      offset += length;
      processor = &later_;
    }
  }

  static constexpr size_t kLargePart = size_t{1} << 20, kLargestPart = size_t{4} << 20;

  // Up to the last line end within kLargePart, or else the first one behind it.
  size_t part_length(std::string_view text) const {
    if (text.size() <= kLargePart || !cuts_behind_lines_) return text.size();
    size_t line = text.rfind('\n', kLargePart - 1);
    if (line == text.npos) line = text.find('\n', kLargePart);
    return line == text.npos ? text.size() : line + 1;
  }

  // True if the tokens behind a line end do not depend on what is before it: no piece has a line end but its byte, and
  // the normalizer leaves white space as it is.
  bool finds_independent_lines() const {
    const int line = first_.PieceToId("<0x0A>");
    if (!first_.IsByte(line) || later_.Normalize("a \n \nb") != "a▁\n▁\nb") return false;
    for (int id = 0; id < first_.GetPieceSize(); ++id) {
      if (first_.IdToPiece(id).find('\n') != std::string::npos) return false;
    }
    return true;
  }

  void encode_part(const sentencepiece::SentencePieceProcessor& processor, std::string_view text, size_t offset,
                   std::vector<Token>& tokens) const {
    const auto encoded = filled([&](auto* to) { return processor.Encode(text, to); }, "cannot encode a text");
    tokens.reserve(tokens.size() + encoded->pieces_size());
    for (size_t i = 0; i < encoded->pieces_size(); ++i) {
      const auto piece = encoded->pieces(static_cast<int>(i));
      tokens.push_back({static_cast<int64_t>(piece.id()), offset + piece.begin(), offset + piece.end()});
    }
  }

  const std::string name_;
  const std::vector<std::filesystem::path> files_;
  const bool prefix_everywhere_;
  bool cuts_behind_lines_ = false;
  // The same model, with and without a space added before the text.
  sentencepiece::SentencePieceProcessor first_, later_;
  AddedTokens added_;           // all tokens that encode() searches for
  AddedTokens special_pieces_;  // those that SentencePiece would find too
  int64_t vocab_size_ = 0;
  std::optional<int64_t> bos_, eos_, pad_;
  bool adds_bos_ = false, adds_eos_ = false;
  std::string bos_note_;
};

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& model, const TokenizerConfig& config,
                                              std::vector<std::filesystem::path> files,
                                              const std::optional<SettledSurroundings>& around) {
  // Silences sentencepiece: it also returns what it prints, and callers decide what to print.
  sentencepiece::SetMinLogLevel(3);
  const std::string bytes = read_file(model);
  if (const std::string kind = file_kind(bytes); !kind.empty()) {
    throw ModelError(model.string() + ": is " + kind + "; expected a SentencePiece model");
  }
  check_sentencepiece_model(bytes, model.string());
  try {
    return std::make_unique<SentencePieceTokenizer>(bytes, model.string(), config, std::move(files), around);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // its trie builder throws
    if (is_out_of_memory(error)) throw;
    throw ModelError(model.string() + ": cannot be loaded: " + error.what());
  }
}

}  // namespace lora
