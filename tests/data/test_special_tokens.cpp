// Special and added tokens: found by name where a template wrote them, plain text where a user did.

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/added_tokens.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

SentencePieceModel chat_model() {
  SentencePieceModel model;
  model.pieces = first_pieces();  // <unk>, <s>, </s> and the bytes
  float score = 0;
  for (const char* text : {"▁h", "hi", "▁hi", "▁", "h", "i", "<", "s", ">", "/", "t"}) {
    model.pieces.push_back({text, score--, PieceType::kNormal});
  }
  model.pieces.push_back({"<turn>", 0, PieceType::kUserDefined});
  return model;
}

struct Directory {
  TemporaryDirectory path;
  Directory() { write_bytes(path / "tokenizer.model", serialize(chat_model())); }
  std::unique_ptr<Tokenizer> load() const { return load_tokenizer(path.path()); }
  void write(const char* name, const std::string& bytes) const { write_bytes(path / name, bytes); }
};

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, std::string_view text,
                                   std::vector<TextRange> special = {}) {
  std::vector<std::string> pieces;
  size_t covered = 0;
  for (const Token& token : tokenizer.encode(text, special)) {
    CHECK(token.begin == covered);
    covered = token.end;
    pieces.push_back(tokenizer.piece(token.id));
  }
  CHECK(covered == text.size());
  return pieces;
}

using Pieces = std::vector<std::string>;

TEST_CASE("a control symbol is found by name inside the given ranges alone") {
  const auto tokenizer = Directory().load();
  const std::string text = "<s>hi</s>hi";
  CHECK(pieces_of(*tokenizer, text, {{0, text.size()}}) == Pieces{"<s>", "hi", "</s>", "hi"});
  CHECK(pieces_of(*tokenizer, text, {{0, 3}, {9, 11}}) == Pieces{"<s>", "hi", "<", "/", "s", ">", "hi"});
  CHECK(pieces_of(*tokenizer, text, {{1, text.size()}})[0] == " ");  // one that is cut by a range is text
  CHECK(tokenizer->id_of("<s>") == 1);
  CHECK(tokenizer->id_of("hi") == std::nullopt);
  CHECK(tokenizer->is_special(2));
  CHECK_FALSE(tokenizer->is_special(-1));
  CHECK(tokenizer->adds_bos());
  CHECK_FALSE(tokenizer->adds_eos());
}

TEST_CASE("legacy tokenizers put a space before every stretch") {
  const Directory directory;
  directory.write("tokenizer_config.json", R"({"legacy": true, "add_bos_token": false})");
  const auto tokenizer = directory.load();
  CHECK(pieces_of(*tokenizer, "<s>hi</s>hi", {{0, 11}}) == Pieces{"<s>", " hi", "</s>", " hi"});
  CHECK_FALSE(tokenizer->adds_bos());
}

TEST_CASE("a user-defined piece that the configuration calls special is text outside the ranges") {
  const Directory directory;
  const std::string text = "hi<turn>hi";
  CHECK(pieces_of(*directory.load(), text) == Pieces{" hi", "<turn>", "hi"});
  directory.write("tokenizer_config.json", R"({"eos_token": {"content": "<turn>"}, "legacy": true})");
  const auto tokenizer = directory.load();
  CHECK(pieces_of(*tokenizer, text, {{0, text.size()}}) == Pieces{" hi", "<turn>", " hi"});
  const Pieces plain = pieces_of(*tokenizer, text);
  CHECK(std::count(plain.begin(), plain.end(), "<turn>") == 0);
  std::string joined;
  for (const std::string& piece : plain) joined += piece;
  CHECK(joined == " hi<turn>hi");
  CHECK(tokenizer->eos_id() == tokenizer->id_of("<turn>"));
}

TEST_CASE("added tokens extend the vocabulary") {
  const Directory directory;
  const int64_t next = directory.load()->vocab_size();
  directory.write("added_tokens.json",
                  R"({"<|end|>": )" + std::to_string(next) + R"(, "word": )" + std::to_string(next + 1) + "}");
  directory.write("special_tokens_map.json", R"({"eos_token": "<|end|>", "pad_token": "</s>"})");
  const auto tokenizer = directory.load();
  CHECK(tokenizer->vocab_size() == next + 2);
  CHECK(tokenizer->eos_id() == next);
  CHECK(tokenizer->pad_id() == 2);
  CHECK(tokenizer->bos_id() == 1);
  CHECK(pieces_of(*tokenizer, "hiwordhi<|end|>", {{8, 15}}) == Pieces{" hi", "word", "hi", "<|end|>"});
  const int64_t hi = tokenizer->encode("hi")[0].id;
  CHECK(tokenizer->decode({1, hi, next + 1, hi, next}) == "hiword hi");
  CHECK(tokenizer->files().size() == 3);
  CHECK(tokenizer->id_of("word") == std::nullopt);
}

TEST_CASE("names of special_tokens_map.json count unless tokenizer_config.json has added_tokens_decoder") {
  // As transformers 5.24 has it: tokenizer.eos_token of these directories.
  const Directory directory;
  directory.write("special_tokens_map.json", R"({"eos_token": "<s>"})");
  directory.write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  CHECK(directory.load()->eos_id() == 1);
  directory.write("tokenizer_config.json", R"({"eos_token": "</s>", "added_tokens_decoder": {}})");
  CHECK(directory.load()->eos_id() == 2);
  directory.write("special_tokens_map.json", R"({"pad_token": "<s>"})");
  directory.write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  CHECK(directory.load()->eos_id() == 2);
  CHECK(directory.load()->pad_id() == 1);
}

TEST_CASE("configurations that contradict the model are refused with file and key") {
  const Directory directory;
  directory.write("added_tokens.json", R"({"<s>": 7})");
  CHECK_THROWS_WITH(directory.load(), Contains("'<s>' has id 7") && Contains("is 1 in the model"));
  directory.write("added_tokens.json", R"({"new": 7})");
  CHECK_THROWS_WITH(directory.load(), Contains("another piece"));
  directory.write("added_tokens.json", R"({"new": 1e30})");
  CHECK_THROWS_WITH(directory.load(), Contains("added_tokens.json: new: found number, expected a whole number"));
  directory.write("added_tokens.json", "{}");
  directory.write("tokenizer_config.json", R"({"eos_token": "<none>"})");
  CHECK_THROWS_WITH(directory.load(), Contains("'<none>' its eos_token"));
  directory.write("tokenizer_config.json", R"({"eos_token": 3})");
  CHECK_THROWS_WITH(directory.load(), Contains("tokenizer_config.json: eos_token: found number, expected a string"));
  directory.write("tokenizer_config.json", R"({"added_tokens_decoder": {"-1": {"content": "x"}}})");
  CHECK_THROWS_WITH(directory.load(), Contains("added_tokens_decoder: found '-1'"));
  directory.write("tokenizer_config.json", "{");
  CHECK_THROWS_AS(directory.load(), ModelError);
}

std::vector<std::string> tokens_found(const AddedTokens& tokens, std::string_view text, bool special = true) {
  std::vector<std::string> names;
  for (const auto& match : tokens.find(text, [special](size_t, size_t) { return special; })) {
    names.emplace_back(text.substr(match.begin, match.end - match.begin));
  }
  return names;
}

TEST_CASE("added tokens are the longest at each place, and keep their own rules") {
  AddedToken ab{.content = "ab", .id = 1}, abc{.content = "abcd", .id = 2}, word{.content = "été", .id = 3};
  word.single_word = true;
  AddedToken strips{.content = "<m>", .id = 4}, special{.content = "<s>", .id = 5};
  strips.lstrip = strips.rstrip = true;
  special.special = true;
  const AddedTokens tokens({ab, abc, word, strips, special});
  CHECK(tokens_found(tokens, "xabcabcdab") == Pieces{"ab", "abcd", "ab"});
  CHECK(tokens_found(tokens, "été étés été_ (été)") == Pieces{"été", "été"});
  CHECK(tokens_found(tokens, "x \u00a0<m>\n <m>  y") == Pieces{" \u00a0<m>\n ", "<m>  "});
  CHECK(tokens_found(tokens, "<s>ab", false) == Pieces{"ab"});
  CHECK(tokens_found(tokens, "\xff<s\xff<s>") == Pieces{"<s>"});
  CHECK(tokens_found(AddedTokens(), "ab").empty());
  CHECK(tokens.by_name("abcd")->id == 2);
  CHECK(tokens.by_name("abc") == nullptr);
}

}  // namespace
}  // namespace lora::test
