// Tokenizers against the ids, texts and offsets they are known to give.

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "lora/data/tokenizer.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/gguf_vocabulary.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/data/token_ids.h"
#include "tests/shared_data.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

std::unique_ptr<Tokenizer> load_bytes(const std::string& bytes) {
  TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.model", bytes);
  return load_tokenizer(directory.path());
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end = 0; (end = text.find(separator, begin)) != std::string::npos; begin = end + separator.size()) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

// Every byte of the text belongs to the tokens in order, and a token's begin never falls.
void check_offsets(const Tokenizer& tokenizer, const std::string& text) {
  size_t covered = 0;
  size_t last_begin = 0;
  for (const Token& token : tokenizer.encode(text)) {
    REQUIRE(token.begin == covered);
    REQUIRE(token.begin >= last_begin);
    REQUIRE(token.end >= token.begin);
    last_begin = token.begin;
    covered = token.end;
  }
  REQUIRE(covered == text.size());
}

std::unique_ptr<Tokenizer> llama_tokenizer(const std::filesystem::path& directory) {
  SentencePieceModel model;
  model.pieces = GgufReader(directory / "ggml-vocab-llama-spm.gguf").pieces();
  return load_bytes(serialize(model));
}

// A small BPE: the merges that give "▁hello" and "▁world", byte fallback for the rest.
SentencePieceModel small_bpe() {
  SentencePieceModel model;
  model.pieces = first_pieces();
  float score = 0;
  for (const char* text : {"he", "ll", "hell", "hello", "▁hello", "or", "▁w", "▁wor", "ld", "▁world", "▁", "h", "e",
                           "l", "o", "w", "r", "d"}) {
    model.pieces.push_back({text, score--, PieceType::kNormal});
  }
  return model;
}

TEST_CASE("Llama's vocabulary gives the expected ids for every test string") {
  const auto directory = shared_data("tokenizers/llama-spm");
  if (!directory) return;
  const auto tokenizer = llama_tokenizer(*directory);
  CHECK(tokenizer->vocab_size() == 32000);
  CHECK(tokenizer->bos_id() == 1);
  CHECK(tokenizer->eos_id() == 2);

  const std::string inputs = read_bytes(*directory / "ggml-vocab-llama-spm.gguf.inp");
  std::ifstream expected(*directory / "ggml-vocab-llama-spm.gguf.out");
  int compared = 0;
  for (const std::string& text : split(inputs, "\n__ggml_vocab_test__\n")) {
    std::string line;
    if (!std::getline(expected, line)) break;
    std::istringstream numbers(line);
    const std::vector<int64_t> ids{std::istream_iterator<int64_t>(numbers), {}};
    INFO("string " << compared << ": " << text);
    CHECK(ids_of(*tokenizer, text) == ids);
    check_offsets(*tokenizer, text);
    CHECK(tokenizer->decode(ids) == text);
    ++compared;
  }
  CHECK(compared > 30);
  std::string rest;
  CHECK_FALSE((std::getline(expected, rest) && !rest.empty()));
}

TEST_CASE("a real model's tokenizer gives the ids its reference was made with") {
  const auto directory = shared_data("stories260k");
  if (!directory) return;
  const auto tokenizer = load_tokenizer(*directory);
  CHECK(tokenizer->files() == std::vector<std::filesystem::path>{*directory / "tokenizer.model"});
  const auto reference = nlohmann::json::parse(read_bytes(*directory / "reference.json"));
  for (const auto& example : reference.at("cases")) {
    std::vector<int64_t> ids = {tokenizer->bos_id().value()};
    for (const int64_t id : ids_of(*tokenizer, example.at("text").get<std::string>())) ids.push_back(id);
    CHECK(ids == example.at("ids").get<std::vector<int64_t>>());
  }
}

TEST_CASE("lines of text come back whole, and their tokens cover them") {
  const auto model = shared_data("tokenizers/mistral/tokenizer.model.v1");
  const auto text = shared_data("text/input.txt");
  if (!model || !text) return;
  const auto tokenizer = load_bytes(read_bytes(*model));
  CHECK(tokenizer->bos_id() == 1);
  CHECK(tokenizer->eos_id() == 2);
  std::ifstream lines(*text);
  std::string line;
  for (int i = 0; i < 5000 && std::getline(lines, line); ++i) {
    REQUIRE(tokenizer->decode(ids_of(*tokenizer, line)) == line);
    check_offsets(*tokenizer, line);
  }
}

TEST_CASE("every tokenizer.model at hand loads and reads its own pieces back") {
  for (const char* name :
       {"tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3", "tokenizers/tiny/m.model"}) {
    const auto model = shared_data(name);
    if (!model) return;
    const auto tokenizer = load_bytes(read_bytes(*model));
    CHECK(tokenizer->decode(ids_of(*tokenizer, "hello world")) == "hello world");
  }
}

TEST_CASE("BPE merges by score, and a character without a piece falls back to its bytes") {
  const auto tokenizer = load_bytes(serialize(small_bpe()));
  const auto tokens = tokenizer->encode("hello é");
  std::vector<std::string> pieces;
  for (const Token& token : tokens) pieces.push_back(tokenizer->piece(token.id));
  CHECK(pieces == std::vector<std::string>{" hello", " ", "\xc3", "\xa9"});
  CHECK(tokens[0].begin == 0);  // the added space stands for no text
  CHECK(tokens[0].end == 5);
  CHECK(tokens[2].begin == 6);  // both bytes begin where their character does
  CHECK(tokens[3].begin == 6);
  CHECK(tokens[3].end == 8);
  CHECK(tokenizer->decode(ids_of(*tokenizer, "hello é")) == "hello é");
}

TEST_CASE("a unigram model takes the most probable split") {
  const SentencePieceModel model = unigram_model();
  const auto tokenizer = load_bytes(serialize(model));
  CHECK(ids_of(*tokenizer, "ab") == std::vector<int64_t>{4, 5});
  CHECK(ids_of(*tokenizer, "abz") == std::vector<int64_t>{4, 5, 0});
  CHECK(tokenizer->decode({1, 4, 5, 0, 2}) == "ab");
  check_offsets(*tokenizer, "ab c zz abc");
}

TEST_CASE("a user-defined symbol is one token wherever it stands, a control symbol's name is plain text") {
  SentencePieceModel model = small_bpe();
  const auto symbol = static_cast<int64_t>(model.pieces.size());
  model.pieces.push_back({"[INST]", 0, PieceType::kUserDefined});
  const auto tokenizer = load_bytes(serialize(model));
  const auto ids = ids_of(*tokenizer, "hello[INST] hello");
  CHECK(std::count(ids.begin(), ids.end(), symbol) == 1);
  const auto text = ids_of(*tokenizer, "<s>hello</s>");
  CHECK(std::count(text.begin(), text.end(), 1) == 0);
  CHECK(std::count(text.begin(), text.end(), 2) == 0);
  CHECK(tokenizer->decode(text) == "<s>hello</s>");
  CHECK(tokenizer->piece(1) == "<s>");
}

TEST_CASE("decoding drops special, unknown and out-of-range ids") {
  const auto tokenizer = load_bytes(serialize(small_bpe()));
  auto ids = ids_of(*tokenizer, "hello world");
  ids.insert(ids.begin(), {1, 0, -1});
  ids.insert(ids.end(), {2, 999999, int64_t{1} << 40});
  CHECK(tokenizer->decode(ids) == "hello world");
  CHECK(tokenizer->decode({}).empty());
  CHECK(tokenizer->piece(-7) == "<-7>");
  CHECK(tokenizer->piece(int64_t{1} << 32) == "<4294967296>");
}

TEST_CASE("empty, NUL and invalid UTF-8 texts are safe") {
  const auto tokenizer = load_bytes(serialize(small_bpe()));
  CHECK(tokenizer->encode("").empty());
  const std::string with_nul("a\0b", 3);
  check_offsets(*tokenizer, with_nul);
  CHECK(tokenizer->decode(ids_of(*tokenizer, with_nul)) == with_nul);
  for (const std::string bytes : {"\xff", "\xc3", "hello\xe2\x96", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80\x80x"}) {
    check_offsets(*tokenizer, bytes);
    CHECK(tokenizer->decode(ids_of(*tokenizer, bytes)).find("\uFFFD") != std::string::npos);
  }
}

TEST_CASE("a model without BOS, EOS and PAD says so") {
  SentencePieceModel model;
  model.byte_fallback = false;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown}, {"a", 0}, {"<pad>", 0, PieceType::kControl}};
  const auto tokenizer = load_bytes(serialize(model));
  CHECK_FALSE(tokenizer->bos_id());
  CHECK_FALSE(tokenizer->eos_id());
  CHECK(tokenizer->pad_id() == 2);
}

TEST_CASE("several threads may encode at once") {
  const auto tokenizer = load_bytes(serialize(small_bpe()));
  const auto expected = ids_of(*tokenizer, "hello world hello");
  std::atomic<int> same = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 500; ++j) same += ids_of(*tokenizer, "hello world hello") == expected;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(same == 2000);
}

}  // namespace
}  // namespace lora::test
