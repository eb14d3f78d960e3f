#include "lora/data/tokenizers/json_tokenizer.h"

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <variant>

#include "lora/data/tokenizers/added_tokens.h"
#include "lora/data/tokenizers/bpe_reader.h"
#include "lora/data/tokenizers/decoder.h"
#include "lora/data/tokenizers/json_view.h"
#include "lora/data/tokenizers/normalizer.h"
#include "lora/data/tokenizers/post_processor.h"
#include "lora/data/tokenizers/pre_tokenizer.h"
#include "lora/data/tokenizers/unigram.h"
#include "lora/data/tokenizers/unigram_reader.h"
#include "models/base/error.h"

namespace lora {
namespace {

struct Scratch {
  PatternScratch pattern;
  BpeScratch bpe;
  UnigramScratch unigram;
  Words words;
};

// Lends a scratch to each running call and keeps it, with its word cache, for the next call.
class ScratchPool {
 public:
  class Loan {
   public:
    explicit Loan(ScratchPool& pool) : pool_(pool), scratch_(pool.take()) {}
    ~Loan() { pool_.give(std::move(scratch_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    Scratch& operator*() const { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Scratch> scratch_;
  };

 private:
  std::unique_ptr<Scratch> take() {
    const std::scoped_lock lock(mutex_);
    if (free_.empty()) {
      free_.reserve(++made_);  // so that returning one cannot throw
      return std::make_unique<Scratch>();
    }
    auto scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void give(std::unique_ptr<Scratch> scratch) {
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(scratch));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
  size_t made_ = 0;
};

// Longer than any in use: the search for added tokens takes time in proportion to their length.
constexpr size_t kLongestAdded = 256;

// The file's added tokens and those of `config`. Tokens that are named special become special.
std::vector<AddedToken> all_added(const JsonView& root, const TokenizerConfig& config) {
  std::vector<AddedToken> tokens;
  if (const auto entries = root.find("added_tokens")) {
    for (const JsonView& entry : entries->elements()) {
      tokens.push_back(read_added_token(entry));
      tokens.back().id = entry.at("id").integer(kMostIds);
    }
  }
  std::unordered_set<std::string> known;
  for (const AddedToken& token : tokens) known.insert(token.content);
  std::ranges::copy_if(config.added, std::back_inserter(tokens),
                       [&](const AddedToken& token) { return !known.contains(token.content); });
  const std::unordered_set<std::string_view> special(config.special.begin(), config.special.end());
  for (AddedToken& token : tokens) {
    token.special |= special.contains(token.content);
    if (token.content.size() <= kLongestAdded) continue;
    root.fail("the added token '" + token.content.substr(0, 40) + "…' has " + std::to_string(token.content.size()) +
              " bytes, expected at most " + std::to_string(kLongestAdded));
  }
  return tokens;
}

size_t character_begin(std::string_view text, size_t at) {
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

using Model = std::variant<Bpe, Unigram>;

Model read_model(const JsonView& root, bool byte_level, const std::vector<AddedToken>& added) {
  const JsonView model = root.at("model");
  if (!is_unigram(root.value())) return read_bpe(model, byte_level, added);
  if (byte_level) model.at("type").fail("Unigram together with ByteLevel is not supported");
  return read_unigram(model, added);
}

class JsonTokenizer : public Tokenizer {
 public:
  JsonTokenizer(const JsonView& root, std::string name, const TokenizerConfig& config, TokenizerFile file,
                std::vector<std::filesystem::path> files)
      : name_(std::move(name)),
        files_(std::move(files)),
        pre_tokenizer_(root.find("pre_tokenizer") ? read_pre_tokenizer(root.at("pre_tokenizer")) : PreTokenizer()),
        added_(all_added(root, config)),
        model_(read_model(root, pre_tokenizer_.byte_level, added_.tokens())) {
    if (const auto normalizer = root.find("normalizer")) normalizers_ = read_normalizer(*normalizer);
    if (const auto decoder = root.find("decoder")) decoders_ = read_decoder(*decoder);
    if (pre_tokenizer_.byte_level) check_byte_decoder(root);
    share_out_added();
    vocab_size_ = static_cast<int64_t>(vocabulary().size());
    for (const AddedToken& token : added_.tokens()) vocab_size_ = std::max(vocab_size_, token.id + 1);

    Surroundings around;
    if (const auto processor = root.find("post_processor")) around = read_post_processor(*processor);
    take_special(around, config, file);
  }

  std::vector<Token> encode(std::string_view text, std::span<const TextRange> special) const override {
    if (text.size() > UINT32_MAX / 4) throw ModelError(name_ + ": cannot encode a text of more than 1 GiB at once");
    const ScratchPool::Loan scratch(scratch_);
    AlignedText whole(text);
    repair_utf8(whole);
    std::vector<Token> tokens;
    tokens.reserve(text.size() / 4 + 8);
    split_at(raw_, whole, special, tokens,
             [&](const AlignedText& part) { encode_part(part, special, *scratch, tokens); });
    // The bytes of dropped text belong to the token before it.
    for (size_t i = 0; i + 1 < tokens.size(); ++i) tokens[i].end = tokens[i + 1].begin;
    if (!tokens.empty()) tokens.back().end = text.size();
    return tokens;
  }

  std::string decode(const std::vector<int64_t>& ids) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const int64_t id : ids) {
      if (id < 0 || id >= vocab_size_ || is_special(id)) continue;
      const AddedToken* normal = normal_.by_id(id);  // its text is normalized, like the text around it
      if (const AddedToken* token = normal ? normal : raw_.by_id(id)) {
        tokens.push_back(token->content);
      } else if (vocabulary().has(static_cast<uint32_t>(id))) {
        tokens.emplace_back(vocabulary().text(static_cast<uint32_t>(id)));
      }
    }
    for (const Decoder& decode_step : decoders_) decode_step(tokens);
    std::string text;
    for (const std::string& token : tokens) {
      if (decoders_.empty() && !text.empty()) text.push_back(' ');
      text += token;
    }
    return text;
  }

  std::string piece(int64_t id) const override {
    if (const AddedToken* token = added_.by_id(id)) return token->content;
    if (id < 0 || id >= vocab_size_ || !vocabulary().has(static_cast<uint32_t>(id))) {
      return std::string("<").append(std::to_string(id)).append(">");
    }
    const std::string_view stored = vocabulary().text(static_cast<uint32_t>(id));
    if (pre_tokenizer_.byte_level) return std::string(stored);
    if (const int byte = byte_of_name(stored); byte >= 0) return {static_cast<char>(byte)};
    std::string text(stored);
    for (size_t at = 0; (at = text.find(kSpacePiece, at)) != text.npos; ++at) text.replace(at, kSpacePiece.size(), " ");
    return text;
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
  const Vocabulary& vocabulary() const {
    return std::visit([](const auto& model) -> const Vocabulary& { return model.vocabulary(); }, model_);
  }

  // Checks that only ByteLevel decodes bytes. It does so where no decoder is named, too.
  void check_byte_decoder(const JsonView& root) {
    const auto decoder = root.find("decoder");
    if (!decoder) decoders_.push_back(byte_level_decoder());
    if (decoder && decoder->at("type").string() != "ByteLevel") {
      decoder->at("type").fail("found '" + decoder->at("type").string() +
                               "', expected ByteLevel, as the pre-tokenizer is that");
    }
  }

  // Some tokens are searched in the original text, others in the normalized text by their normalized content.
  void share_out_added() {
    std::vector<AddedToken> raw, normal;
    PatternScratch scratch;
    for (AddedToken token : added_.tokens()) {
      if (!token.normalized) {
        raw.push_back(std::move(token));
        continue;
      }
      const std::string content = token.content;
      AlignedText text(content);
      normalize_text(text, scratch);
      token.content = text.text();
      normal.push_back(std::move(token));
    }
    raw_ = AddedTokens(std::move(raw));
    normal_ = AddedTokens(std::move(normal));
  }

  void take_special(const Surroundings& by_processor, const TokenizerConfig& config, TokenizerFile file) {
    if (config.bos) bos_ = named("bos_token", *config.bos);
    if (config.eos) eos_ = named("eos_token", *config.eos);
    // A padding token without an id is common, and nothing here uses it.
    if (config.pad) pad_ = find_id(*config.pad);
    const bool bos = bos_ || by_processor.before, eos = eos_ || by_processor.behind;
    const SettledSurroundings around = settle_surroundings(config, file, by_processor, bos, eos);
    if (around.names.before) bos_ = named("post_processor", *around.names.before);
    if (around.names.behind) eos_ = named("post_processor", *around.names.behind);
    adds_bos_ = around.before && bos_;
    adds_eos_ = around.behind && eos_;
    if (!around.note.empty() && bos_) bos_note_ = "'" + JsonTokenizer::piece(*bos_) + "' is " + around.note;
  }

  std::optional<int64_t> find_id(const std::string& name) const {
    if (const AddedToken* token = added_.by_name(name)) return token->id;
    const uint32_t id = vocabulary().id_of(name);
    return id == Vocabulary::kNone ? std::nullopt : std::optional<int64_t>(id);
  }

  int64_t named(const char* key, const std::string& name) const {
    if (const auto id = find_id(name)) return *id;
    throw ModelError(name_ + ": '" + name + "' (" + key + ") is not in the vocabulary and no added token");
  }

  void normalize_text(AlignedText& text, PatternScratch& scratch) const {
    try {
      for (const Normalizer& step : normalizers_) step(text, scratch);
    } catch (const GrownText&) {
      throw ModelError(name_ + ": the normalizer makes more than " + std::to_string(kMostGrowth) +
                       " bytes of one byte of a text; expected one that replaces characters by a few others");
    }
  }

  // Finds the tokens of `added` in `text`, and calls rest(part) for the text between them.
  template <typename Rest>
  void split_at(const AddedTokens& added, const AlignedText& text, std::span<const TextRange> special,
                std::vector<Token>& tokens, const Rest& rest) const {
    const auto may_stand = [&](size_t begin, size_t end) { return inside(special, text.from(begin), text.from(end)); };
    size_t done = 0;
    for (const AddedMatch& match : added.find(text.text(), may_stand)) {
      if (done < match.begin) rest(text.part(done, match.begin));
      tokens.push_back({match.id, text.from(match.begin), 0});
      done = match.end;
    }
    if (done == 0) {
      rest(text);
    } else if (done < text.text().size()) {
      rest(text.part(done, text.text().size()));
    }
  }

  void encode_part(const AlignedText& part, std::span<const TextRange> special, Scratch& scratch,
                   std::vector<Token>& tokens) const {
    AlignedText text = part;
    normalize_text(text, scratch.pattern);
    split_at(normal_, text, special, tokens, [&](const AlignedText& rest) { encode_words(rest, scratch, tokens); });
  }

  void encode_words(const AlignedText& part, Scratch& scratch, std::vector<Token>& tokens) const {
    if (part.text().empty()) return;
    Words& words = scratch.words;
    words.text = part;
    words.ranges.assign(1, {0, part.text().size()});
    for (const Splitter& step : pre_tokenizer_.steps) step(words, scratch.pattern);
    const AlignedText& aligned = words.text;
    const std::string_view text = aligned.text();
    for (const TextRange& range : words.ranges) {
      size_t at = range.begin;
      const auto word = text.substr(range.begin, range.end - range.begin);
      const auto take = [&](std::span<const WordToken> found) {
        for (const WordToken& token : found) {
          tokens.push_back({static_cast<int64_t>(token.id), aligned.from(character_begin(text, at)), 0});
          at += token.length;
        }
      };
      if (const Bpe* bpe = std::get_if<Bpe>(&model_)) {
        bpe->encode(word, scratch.bpe, take);
      } else {
        std::get<Unigram>(model_).encode(word, scratch.unigram, take);
      }
    }
  }

  const std::string name_;
  const std::vector<std::filesystem::path> files_;
  const PreTokenizer pre_tokenizer_;
  const AddedTokens added_;
  const Model model_;
  std::vector<Normalizer> normalizers_;
  std::vector<Decoder> decoders_;
  AddedTokens raw_, normal_;
  int64_t vocab_size_ = 0;
  std::optional<int64_t> bos_, eos_, pad_;
  bool adds_bos_ = false, adds_eos_ = false;
  std::string bos_note_;
  mutable ScratchPool scratch_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_json_tokenizer(const nlohmann::json& document, const std::string& name,
                                               const TokenizerConfig& config, std::vector<std::filesystem::path> files,
                                               TokenizerFile file) {
  return std::make_unique<JsonTokenizer>(JsonView(document, name), name, config, file, std::move(files));
}

}  // namespace lora
