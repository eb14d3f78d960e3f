// A tokenizer with new tokens: ids and files, beside transformers' add_tokens.

#include <algorithm>
#include <filesystem>

#include "lora/data/tokenizer.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> kChatTokens = {"<|im_start|>", "<|im_end|>"};

std::vector<int64_t> ids_of_text(const Tokenizer& tokenizer, const std::string& text) {
  const TextRange all[] = {{0, text.size()}};
  std::vector<int64_t> ids;
  for (const Token& token : tokenizer.encode(text, all)) ids.push_back(token.id);
  return ids;
}

// What was loaded, and the same from the files that it gives to exports.
void check_files(const Tokenizer& tokenizer, const std::string& text) {
  REQUIRE_FALSE(tokenizer.files().empty());
  const auto again = load_tokenizer(tokenizer.files().front().parent_path());
  CHECK(again->vocab_size() == tokenizer.vocab_size());
  CHECK(ids_of_text(*again, text) == ids_of_text(tokenizer, text));
}

}  // namespace

// transformers 5.24 of the same file: add_tokens(["<|ask|>", "<|eot_id|>", "<|end|>"], special_tokens=True), then the
// ids of the text. (<|eot_id|> is a token of llama3 already.)
TEST_CASE("new tokens of a tokenizer.json have the ids that transformers gives them") {
  struct Case {
    const char* name;
    int64_t ask, end;
    std::vector<int64_t> ids;
  };
  for (const Case& one : {Case{"llama3", 502, 503, {39, 72, 503, 198, 88, 259}},
                          Case{"byte_fallback", 759, 761, {399, 301, 761, 332, 317, 322}},
                          Case{"nfc", 403, 405, {39, 72, 405, 198, 88, 259}}}) {
    INFO(one.name);
    const TemporaryDirectory directory;
    const auto golden = read_json(source_dir() / "tests/golden/tokenizers" / (std::string(one.name) + ".json"));
    write_bytes(directory / "tokenizer.json", golden["tokenizer"].dump());
    const auto tokenizer = load_tokenizer(directory.path(), {"<|ask|>", "<|eot_id|>", "<|end|>"});
    CHECK(tokenizer->vocab_size() == one.end + 1);
    CHECK(tokenizer->id_of("<|ask|>") == one.ask);
    CHECK(tokenizer->is_special(one.end));
    const std::string text = "Hi<|end|>\nyou";
    CHECK(ids_of_text(*tokenizer, text) == one.ids);
    check_files(*tokenizer, text);
  }
}

TEST_CASE("new tokens of a tokenizer.model are in the files beside it, which go with the tokenizer") {
  const fs::path model = source_dir() / "recipes/quickstart/model";
  const auto base = load_tokenizer(model);
  auto tokenizer = load_tokenizer(model, kChatTokens);
  CHECK(tokenizer->id_of("<|im_start|>") == base->vocab_size());
  CHECK(tokenizer->id_of("<|im_end|>") == base->vocab_size() + 1);
  CHECK(ids_of_text(*tokenizer, "one<|im_end|>").back() == base->vocab_size() + 1);
  check_files(*tokenizer, "one<|im_end|>");
  const fs::path own = tokenizer->files().front().parent_path();
  CHECK(own != model);
  tokenizer.reset();
  CHECK_FALSE(fs::exists(own));
}

TEST_CASE("what is a token already keeps its id, and a name is given once") {
  const fs::path model = source_dir() / "recipes/quickstart/model";
  const auto base = load_tokenizer(model);
  CHECK(load_tokenizer(model, {"</s>"})->files() == base->files());
  // A piece of the vocabulary becomes a special token at its place.
  int64_t id = 500;
  while (base->piece(id).find(' ') != std::string::npos) ++id;
  const std::string piece = base->piece(id);
  const auto tokenizer = load_tokenizer(model, {piece, "<|new|>"});
  CHECK(tokenizer->id_of(piece) == id);
  CHECK(tokenizer->id_of("<|new|>") == base->vocab_size());
  CHECK_THROWS_WITH(load_tokenizer(model, {"<a>", "<a>"}), Contains("model.new_tokens: '<a>' is named twice"));
  CHECK_THROWS_WITH(load_tokenizer(model, {""}), Contains("'' is empty"));
}
