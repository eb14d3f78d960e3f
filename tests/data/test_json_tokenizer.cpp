// tokenizer.json against the ids, offsets and texts of `tokenizers` (scripts/make_tokenizer_golden.py), and damaged
// ones.

#include <sys/mman.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "lora/data/shuffle.h"
#include "lora/data/tokenizers/json_tokenizer.h"
#include "models/base/error.h"
#include "models/base/utf8.h"
#include "tests/catch.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/data/token_ids.h"
#include "tests/golden.h"
#include "tests/shared_data.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using nlohmann::json;

std::unique_ptr<Tokenizer> tokenizer_of(const json& document, const TokenizerConfig& config = {}) {
  return make_json_tokenizer(document, "tokenizer.json", config, {});
}

json golden_tokenizer(const std::string& name) {
  return read_json(source_dir() / "tests/golden/tokenizers" / (name + ".json"));
}

// Byte-level, the alphabet of "a", "b", "c" and the space, and two merges.
json small() {
  return json::parse(R"({
    "added_tokens": [{"id": 6, "content": "<s>", "special": true}, {"id": 7, "content": "<t>", "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "decoder": {"type": "ByteLevel"},
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                       "special_tokens": {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}}},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "abc": 5}, "merges": ["a b", ["ab", "c"]]}
  })");
}

TEST_CASE("ids, offsets and decoded texts are those of tokenizers") {
  for (const char* name :
       {"llama3", "nfc", "byte_fallback", "added", "falcon", "word_end", "word_end_lower", "newer_digits",
        "newer_words", "newer_letters", "newer_whitespace", "unigram", "unigram_unknown", "unigram_whole"}) {
    const json file = golden_tokenizer(name);
    const auto tokenizer = tokenizer_of(file.at("tokenizer"));
    for (const json& example : file.at("cases")) {
      const auto text = example.at("text").get<std::string>();
      for (const bool special : {false, true}) {
        const json& wanted = example.at(special ? "all" : "none");
        INFO(name << ": " << text);
        const auto ids = ids_of(*tokenizer, text, special);
        REQUIRE(json(ids) == wanted.at("ids"));
        REQUIRE(tokenizer->decode(ids) == wanted.at("decoded").get<std::string>());
        if (!wanted.contains("begins") || special) continue;
        const auto tokens = tokenizer->encode(text);
        for (size_t i = 0; i < tokens.size(); ++i) {
          REQUIRE(tokens[i].begin == wanted.at("begins")[i].get<size_t>());
          REQUIRE(tokens[i].end == (i + 1 < tokens.size() ? tokens[i + 1].begin : text.size()));
        }
      }
    }
  }
}

void check_vectors(const std::filesystem::path& folder, const std::string& vocab, const std::string& merges,
                   const std::string& vectors, const std::string& type) {
  TemporaryDirectory directory;
  std::filesystem::copy_file(folder / vocab, directory / "vocab.json");
  std::filesystem::copy_file(folder / merges, directory / "merges.txt");
  write_bytes(directory / "tokenizer_config.json", json{{"tokenizer_class", type}}.dump());
  const auto tokenizer = load_tokenizer(directory.path());
  CHECK(tokenizer->files().size() == 3);
  CHECK_FALSE(tokenizer->adds_bos());
  std::string texts = read_bytes(folder / (vectors + ".inp"));
  std::ifstream expected(folder / (vectors + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  int compared = 0;
  for (std::string line; std::getline(expected, line); ++compared) {
    const std::string text = texts.substr(0, texts.find(separator));
    texts.erase(0, text.size() + separator.size());
    std::istringstream numbers(line);
    const std::vector<int64_t> ids{std::istream_iterator<int64_t>(numbers), {}};
    INFO(text);
    CHECK(ids_of(*tokenizer, text) == ids);
    CHECK(tokenizer->decode(ids) == text);
  }
  CHECK(compared > 30);
}

TEST_CASE("GPT-2's and Qwen2's vocabularies give the expected ids for every test string") {
  if (const auto folder = shared_data("tokenizers/gpt2")) {
    check_vectors(*folder, "gpt2_vocab.json", "gpt2_merges.txt", "ggml-vocab-gpt-2.gguf", "GPT2Tokenizer");
  }
  if (const auto folder = shared_data("tokenizers/qwen2")) {
    check_vectors(*folder, "vocab.json", "merges.txt", "ggml-vocab-qwen2.gguf", "Qwen2TokenizerFast");
  }
}

TEST_CASE("merges go by rank, and special tokens are found in the given ranges alone") {
  const auto tokenizer = tokenizer_of(small());
  CHECK(ids_of(*tokenizer, "abc ab") == std::vector<int64_t>{5, 3, 4});
  CHECK(ids_of(*tokenizer, "<s>ab<t>", true) == std::vector<int64_t>{6, 4, 7});
  const std::vector<TextRange> first = {{0, 3}};
  CHECK(tokenizer->encode("<s>a<s>", first)[0].id == 6);
  CHECK(tokenizer->encode("<s>a<s>", first).size() == 2);  // '<', 's' and '>' have no token here
  CHECK(tokenizer->piece(6) == "<s>");
  CHECK(tokenizer->piece(3) == " ");
  CHECK(tokenizer->piece(-3) == "<-3>");
  CHECK(tokenizer->vocab_size() == 8);
  CHECK(tokenizer->decode({6, 5, 3, -1, 4, 99, 7}) == "abc ab");
}

TEST_CASE("the post-processor says which tokens stand around a text, whatever the flags say") {
  CHECK(tokenizer_of(small())->adds_bos());
  CHECK(tokenizer_of(small())->bos_id() == 6);
  CHECK(tokenizer_of(small())->eos_id() == std::nullopt);
  TokenizerConfig config;
  config.bos = "<t>";
  config.eos = "<t>";
  config.pad = "<none>";
  CHECK(tokenizer_of(small(), config)->bos_id() == 6);  // what is really put in front
  CHECK(tokenizer_of(small(), config)->eos_id() == 7);
  CHECK(tokenizer_of(small(), config)->pad_id() == std::nullopt);
  config.add_bos = false;
  config.add_eos = true;
  const auto tokenizer = tokenizer_of(small(), config);
  CHECK(tokenizer->adds_bos());
  CHECK_FALSE(tokenizer->adds_eos());
  CHECK(tokenizer->bos_id() == 6);
  config.eos = "<none>";
  CHECK_THROWS_WITH(tokenizer_of(small(), config), Contains("'<none>' (eos_token) is not in the vocabulary"));
}

TEST_CASE("tokenizer.json is taken before tokenizer.model, and both go along with exports") {
  TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.json", small().dump());
  write_bytes(directory / "tokenizer.model", "not read");
  write_bytes(directory / "tokenizer_config.json", R"({"eos_token": "<t>"})");
  const auto tokenizer = load_tokenizer(directory.path());
  CHECK(tokenizer->eos_id() == 7);
  CHECK(tokenizer->files().size() == 3);
}

TEST_CASE("where a byte-level tokenizer.json names no decoder, ids are decoded as bytes") {
  json document = small();
  document.erase("decoder");
  const auto tokenizer = tokenizer_of(document);
  CHECK(ids_of(*tokenizer, "ab abc") == std::vector<int64_t>{4, 3, 5});
  CHECK(tokenizer->decode({4, 3, 5}) == "ab abc");
}

// A unigram model in both files.
json unigram() {
  return json::parse(R"({
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true},
                     {"id": 2, "content": "</s>", "special": true}, {"id": 8, "content": "<new>", "special": true}],
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                       "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["<s>", 0], ["</s>", 0], ["▁ab", -3], ["▁a", -1],
              ["b", -1], ["▁", -5], ["c", -5]]}
  })");
}

// The ids are those of `tokenizers` 0.23.3 from the same tokenizer.json.
TEST_CASE("a unigram tokenizer.json is read from the tokenizer.model beside it, with its own added tokens") {
  TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.json", unigram().dump());
  write_bytes(directory / "tokenizer.model", serialize(unigram_model()));
  const auto tokenizer = load_tokenizer(directory.path());
  CHECK(tokenizer->adds_bos());
  CHECK_FALSE(tokenizer->adds_eos());
  CHECK(tokenizer->bos_id() == 1);
  CHECK(ids_of(*tokenizer, "ab", true) == std::vector<int64_t>{4, 5});
  CHECK(ids_of(*tokenizer, "ab c zz abc", true) == std::vector<int64_t>{4, 5, 6, 7, 6, 0, 4, 5, 7});
  CHECK(ids_of(*tokenizer, "a<new>b", true) == std::vector<int64_t>{4, 8, 6, 5});
  CHECK(tokenizer->files().size() == 2);
}

// The ids are those of `tokenizers` 0.23.3.
TEST_CASE("a unigram tokenizer.json alone is read, with and without a token for unknown characters") {
  json document = unigram();
  const auto tokenizer = tokenizer_of(document);
  CHECK(ids_of(*tokenizer, "ab") == std::vector<int64_t>{4, 5});
  CHECK(ids_of(*tokenizer, "ab c zz abc") == std::vector<int64_t>{4, 5, 6, 7, 6, 0, 4, 5, 7});
  CHECK(tokenizer->bos_id() == 1);
  CHECK(tokenizer->adds_bos());
  std::vector<size_t> begins;
  for (const Token& token : tokenizer->encode("ab zz")) begins.push_back(token.begin);
  CHECK(begins == std::vector<size_t>{0, 1, 2, 3});
  document["model"].erase("unk_id");
  CHECK(ids_of(*tokenizer_of(document), "zz abc") == std::vector<int64_t>{6, 4, 5, 7});
}

TEST_CASE("added tokens, normalizers and texts have bounds") {
  json document = small();
  document["added_tokens"].push_back({{"id", 8}, {"content", std::string(257, 'x')}});
  CHECK_THROWS_WITH(tokenizer_of(document), Contains("has 257 bytes, expected at most 256"));

  document = small();
  document["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(33, 'b')}};
  const auto tokenizer = tokenizer_of(document);
  CHECK(tokenizer->encode("aa").size() == 66);
  CHECK_THROWS_WITH(tokenizer->encode(std::string(100'000, 'a')), Contains("makes more than 32 bytes of one byte"));

  // Memory that is never touched.
  const size_t size = (size_t{1} << 30) + 1;
  void* pages = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(pages != MAP_FAILED);
  CHECK_THROWS_WITH(tokenizer->encode({static_cast<const char*>(pages), size}), Contains("more than 1 GiB at once"));
  ::munmap(pages, size);
}

TEST_CASE("a damaged unigram tokenizer.json is refused with the place") {
  const auto refused = [](const char* place, const json& value, const std::string& message) {
    json document = unigram();
    document[json::json_pointer(place)] = value;
    CHECK_THROWS_WITH(tokenizer_of(document), Contains(message));
  };
  refused("/model/vocab/3", json::array({"a"}), "model.vocab: piece 3: expected a text and its score");
  refused("/model/vocab/3", json::array({"b", -1}), "model.vocab: piece 5: 'b' is piece 3 too");
  refused("/model/unk_id", 8, "model.unk_id");
  refused("/model/vocab", json::array(), "model.vocab: found 0 pieces, expected 1 to");
  refused("/pre_tokenizer", {{"type", "ByteLevel"}}, "model.type: Unigram together with ByteLevel is not supported");
  const auto normalizer = [](const std::string& charsmap) {
    return json{{"type", "Precompiled"}, {"precompiled_charsmap", charsmap}};
  };
  refused("/normalizer", normalizer("!"), "normalizer.precompiled_charsmap: is not base64");
  refused("/normalizer", normalizer("AQAAAA=="), "found a trie of 1 bytes in 4");
  refused("/normalizer", normalizer("/P///w=="), "found a trie of 4294967292 bytes in 4");
}

TEST_CASE("a unigram tokenizer.json with other pieces than the tokenizer.model is refused") {
  TemporaryDirectory directory;
  json document = unigram();
  document["model"]["vocab"][5][0] = "x";
  write_bytes(directory / "tokenizer.json", document.dump());
  write_bytes(directory / "tokenizer.model", serialize(unigram_model()));
  CHECK_THROWS_WITH(load_tokenizer(directory.path()),
                    Contains("tokenizer.json: model.vocab: id 5 is 'x', and 'b' in tokenizer.model"));
}

TEST_CASE("any bytes are encoded, broken ones as Python reads them") {
  const auto tokenizer = tokenizer_of(golden_tokenizer("llama3").at("tokenizer"));
  const auto same = [&](const std::string& bytes, const std::string& read) {
    CHECK(ids_of(*tokenizer, bytes) == ids_of(*tokenizer, read));
  };
  same("a\xff", "a\uFFFD");
  same("\xf0\x9f\x98", "\uFFFD");
  same("\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD");
  same("\xe2\x96x\xc3", "\uFFFDx\uFFFD");
  CHECK(tokenizer->encode("").empty());
  const std::string nul("a\0b", 3);
  CHECK(tokenizer->decode(ids_of(*tokenizer, nul)) == nul);
  const std::string spaces(300'000, ' ');
  CHECK(tokenizer->decode(ids_of(*tokenizer, spaces)) == spaces);
  const std::string word(300'000, 'x');
  CHECK(tokenizer->decode(ids_of(*tokenizer, word)) == word);
}

TEST_CASE("several threads get the same ids") {
  const json file = golden_tokenizer("llama3");
  const auto tokenizer = tokenizer_of(file.at("tokenizer"));
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const json& example : file.at("cases")) {
        wrong += json(ids_of(*tokenizer, example.at("text").get<std::string>())) != example.at("none").at("ids");
      }
    });
  }
  threads.clear();
  CHECK(wrong == 0);
}

TEST_CASE("what is wrong or not supported is refused with its key") {
  const auto refused = [](const char* pointer, const json& value, const std::string& message) {
    json document = small();
    document[json::json_pointer(pointer)] = value;
    CHECK_THROWS_AS(tokenizer_of(document), ModelError);
    CHECK_THROWS_WITH(tokenizer_of(document), Contains("tokenizer.json: " + message));
  };
  refused("/model/type", "WordPiece",
          "model.type: model 'WordPiece' is not supported, expected BPE or Unigram; "
          "WordPiece is of encoders");
  refused("/model/dropout", 0.1, "model.dropout: found 0.1");
  refused("/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix: found '##'");
  refused("/model/vocab", json::array(), "model.vocab: found array, expected an object");
  refused("/model/vocab/b", 0, "model.vocab: 'b' and 'a' have the same id 0");
  refused("/model/vocab/b", -1, "model.vocab: found -1 for 'b'");
  refused("/model/vocab/b", 1e300, "model.vocab: found 1e+300 for 'b'");
  refused("/model/vocab/b", uint64_t{1} << 60, "model.vocab: found 1152921504606846976 for 'b'");
  refused("/model/merges/0", "ab", "model.merges: merge 0: found 'ab', expected two tokens");
  refused("/model/merges/1", json{"a", "c"}, "model.merges: merge 1: its token 'ac' is not in the vocabulary");
  refused("/model/merges/1", 3, "model.merges: merge 1: found number");
  refused("/added_tokens/0/id", 1, "model.vocab: the added token '<s>' has id 1, which is 'b'");
  refused("/added_tokens/0/content", 1, "added_tokens[0].content: found number, expected a string");
  refused("/normalizer", json{{"type", "NFCC"}},
          "normalizer.type: normalizer 'NFCC' is not supported (did you mean 'NFC'?)");
  refused("/normalizer", json{{"type", "Nmt"}}, "normalizer.type: normalizer 'Nmt' is not supported");
  refused("/pre_tokenizer/type", "UnicodeScripts", "pre_tokenizer.type: pre-tokenizer 'UnicodeScripts'");
  refused("/decoder/type", "WordPiece", "decoder.type: decoder 'WordPiece' is not supported");
  refused(
      "/pre_tokenizer",
      json{{"type", "Sequence"}, {"pretokenizers", json::array({{{"type", "ByteLevel"}}, {{"type", "Metaspace"}}})}},
      "pre_tokenizer.pretokenizers[1]: 'Metaspace' behind ByteLevel is not supported");
  refused("/post_processor/type", "Other", "post_processor.type: post-processor 'Other' is not supported");
  refused("/post_processor/special_tokens/<s>/tokens", json{"<no>"},
          "'<no>' (post_processor) is not in the vocabulary");
  const auto split = [](const char* regex) {
    return json{
        {"type", "Sequence"},
        {"pretokenizers", json::array({{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}},
                                       {{"type", "ByteLevel"}, {"use_regex", false}}})}};
  };
  refused("/pre_tokenizer", split("(a"), "pre_tokenizer.pretokenizers[0].pattern.Regex: the regular expression '(a'");
  refused("/pre_tokenizer", split("\\h"),
          "pre_tokenizer.pretokenizers[0].pattern.Regex: the regular expression '\\h' has");
  refused("/pre_tokenizer", split("a{1,2}+"), "pre_tokenizer.pretokenizers[0].pattern.Regex: the regular expression");

  json document = small();
  document["pre_tokenizer"] = split("(a+)+[bc]");
  const auto endless = tokenizer_of(document);
  CHECK_THROWS_WITH(endless->encode(std::string(5000, 'a')),
                    Contains("tokenizer.json: pre_tokenizer.pretokenizers[0].pattern.Regex: the regular expression ") &&
                        Contains("on a text of 5000 bytes"));
}

// Every value in turn is left out or becomes something else.
void damage(const json& whole, const json::json_pointer& at, const json& value, std::vector<json>& damaged) {
  for (const json& other :
       {json(), json(-1), json(1e300), json("x"), json::array({json::array()}), json::object({{"type", "x"}})}) {
    json copy = whole;
    copy[at] = other;
    damaged.push_back(std::move(copy));
  }
  if (!value.is_structured()) return;
  for (const auto& [key, inner] : value.items()) {
    const auto place = value.is_array() ? at / std::stoul(key) : at / key;
    json copy = whole;
    if (value.is_array()) {
      copy[at].erase(std::stoul(key));
    } else {
      copy[at].erase(key);
    }
    damaged.push_back(std::move(copy));
    damage(whole, place, inner, damaged);
  }
}

TEST_CASE("a damaged tokenizer.json is read or refused, never more") {
  json document = small();
  document["normalizer"] = json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFC"},
      {"type": "Replace", "pattern": {"Regex": "a{2,}"}, "content": "b"}]})");
  std::vector<json> damaged;
  damage(document, json::json_pointer(), document, damaged);
  int refused = 0;
  const auto tried = [&](const json& tokenizer) {
    try {
      const auto made = tokenizer_of(tokenizer);
      made->decode(ids_of(*made, "abc<s> caab \xff", true));
    } catch (const ModelError&) {
      ++refused;
    }
  };
  for (const json& one : damaged) tried(one);
  CHECK(damaged.size() > 300);
  CHECK(refused > 200);

  // As bytes: cut off, and with bytes changed.
  TemporaryDirectory directory;
  const std::string bytes = document.dump();
  SplitMix64 random(5);
  for (int i = 0; i < 300; ++i) {
    std::string changed = bytes.substr(0, i % 3 == 0 ? random.below(bytes.size()) : bytes.size());
    for (uint64_t change = random.below(4); change > 0 && !changed.empty(); --change) {
      changed[random.below(changed.size())] = static_cast<char>(random.below(256));
    }
    write_bytes(directory / "tokenizer.json", changed);
    try {
      const auto made = load_tokenizer(directory.path());
      made->decode(ids_of(*made, "abc<s> caab", true));
    } catch (const ModelError& error) {
      CHECK_THAT(error.what(), Contains("tokenizer.json"));
    }
  }
}

}  // namespace
}  // namespace lora::test
