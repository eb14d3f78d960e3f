// A tokenizer that is missing or damaged ends in a ModelError that says so, and never in a crash.

#include <unistd.h>

#include <cmath>
#include <limits>

#include "lora/data/sentencepiece_tokenizer.h"
#include "lora/data/shuffle.h"
#include "lora/data/tokenizer.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/shared_data.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

std::string load_error(const std::filesystem::path& directory) {
  try {
    load_tokenizer(directory);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "";
}

std::string load_error(const std::string& bytes) {
  TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.model", bytes);
  return load_error(directory.path());
}

SentencePieceModel small_model(ModelType type = ModelType::kBpe) {
  SentencePieceModel model;
  model.type = type;
  model.pieces = first_pieces();
  for (const char* text : {"▁", "a", "b", "ab", "▁ab"}) model.pieces.push_back({text, -1, PieceType::kNormal});
  return model;
}

// A trie of one block of 256 units that are all `unit`, and one replacement text.
std::string table_of(uint32_t unit, const std::string& replacement = std::string("x\0", 2)) {
  std::string table;
  const auto put = [&](uint32_t value) { table.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  put(1024);
  for (int i = 0; i < 256; ++i) put(unit);
  return table + replacement;
}

TEST_CASE("a directory without a tokenizer names what was looked for") {
  TemporaryDirectory directory;
  CHECK_THAT(load_error(directory / "nowhere"), Contains("nowhere: no such directory"));
  CHECK_THAT(load_error(directory.path()),
             Contains("no tokenizer found, expected tokenizer.json, tokenizer.model, or vocab.json"));
  write_bytes(directory / "tokenizer.json", "{}");
  CHECK_THAT(load_error(directory.path()), Contains("tokenizer.json: 'model' is missing"));
}

TEST_CASE("files beside the model are handed on to exports") {
  TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.model", serialize(small_model()));
  write_bytes(directory / "tokenizer_config.json", "{}");
  write_bytes(directory / "unrelated.txt", "");
  CHECK(load_tokenizer(directory.path())->files().size() == 2);
}

TEST_CASE("a text of more than 4 MiB is refused where it cannot be cut behind a line's end") {
  TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.model", serialize(small_model()));
  const auto tokenizer = load_tokenizer(directory.path());
  CHECK_THROWS_WITH(tokenizer->encode(std::string((size_t{4} << 20) + 1, 'a')), Contains("at most 4 MiB at once"));
}

TEST_CASE("a file that is no SentencePiece model is refused") {
  CHECK_THAT(load_error(std::string()), Contains("tokenizer.model: not a whole SentencePiece model"));
  CHECK_THAT(load_error(std::string("hello, this is text")), Contains("not a whole SentencePiece model"));
  CHECK_THAT(load_error(std::string(1000, '\0')), Contains("is a file of zeros"));
  CHECK_THAT(load_error(std::string("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
             Contains("git lfs pull"));
}

TEST_CASE("Meta's tiktoken vocabulary is named, and a text that resembles it is not") {
  const std::string tiktoken = "IQ== 0\nIg== 1\nIw== 2\n";
  CHECK_THAT(load_error(tiktoken), Contains("tokenizer.model: is a tiktoken vocabulary, as Meta's own Llama 3 files") &&
                                       Contains("tokenizer.json") && !Contains("fetch the file again"));
  CHECK_THAT(load_error(std::string("IQ== 0")), Contains("is a tiktoken vocabulary"));
  for (const char* other : {"IQ== zero\n", "I-== 0\n", " 0\n", "IQ==\n", "IQ== \n"}) {
    CHECK_THAT(load_error(std::string(other)), Contains("not a whole SentencePiece model"));
  }
  TemporaryDirectory directory;  // beside a tokenizer.json, which is read
  write_bytes(directory / "tokenizer.model", tiktoken);
  write_bytes(directory / "tokenizer.json",
              R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": null})");
  CHECK(load_error(directory.path()).empty());
}

TEST_CASE("a vocabulary that contradicts itself is refused") {
  SentencePieceModel model = small_model();
  model.pieces.push_back({"ab", 0, PieceType::kNormal});
  CHECK_THAT(load_error(serialize(model)), Contains("already defined"));
  model = small_model();
  model.pieces.erase(model.pieces.begin());
  CHECK_THAT(load_error(serialize(model)), Contains("unk is not defined"));
  model = small_model();
  model.pieces.erase(model.pieces.begin() + 10);
  CHECK_THAT(load_error(serialize(model)), Contains("256 byte pieces"));
  model = small_model();
  model.pieces.back().score = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(load_error(serialize(model)), Contains("score of piece 263"));
}

TEST_CASE("a normalization table that links outside itself is refused") {
  SentencePieceModel model = small_model();
  model.normalization_table = table_of(0);
  CHECK(load_error(serialize(model)).empty());
  for (const std::string& table :
       {table_of(0x7fffffffu), table_of(1u << 18), table_of(0).substr(0, 500), table_of(0, ""), std::string("\1", 1)}) {
    model.normalization_table = table;
    CHECK_THAT(load_error(serialize(model)), Contains("normalization table is damaged"));
  }
}

// Loads and, where that works, uses damaged models: any ending but a ModelError or a result fails the test. Each is a
// file of its own in one directory, as making directories would take most of the time.
class DamagedModels {
 public:
  // Whether the model was usable.
  bool usable(const std::string& bytes) {
    const auto path = directory_ / std::to_string(count_++);
    write_bytes(path, bytes);
    try {
      const auto tokenizer = load_sentencepiece(path, {}, {});
      for (const std::string text : {"ab abba <s> hello é \xff Ünï ﬁ １２", "\n\n  a"}) {
        std::vector<int64_t> ids;
        for (const Token& token : tokenizer->encode(text)) ids.push_back(token.id);
        tokenizer->decode(ids);
        for (const int64_t id : ids) tokenizer->piece(id);
      }
      return true;
    } catch (const ModelError&) {
      return false;
    }
  }

 private:
  TemporaryDirectory directory_;
  int count_ = 0;
};

TEST_CASE("a model cut at any byte is refused, but for a cut that leaves whole fields") {
  DamagedModels models;
  const std::string bytes = serialize(small_model());
  int usable = 0;
  for (size_t size = 0; size < bytes.size(); ++size) usable += models.usable(bytes.substr(0, size));
  CHECK(usable <= 1);  // all but the last field, whose values have defaults
}

std::string mutated(std::string bytes, SplitMix64& random) {
  const uint64_t edits = 1 + random.below(8);
  for (uint64_t i = 0; i < edits && !bytes.empty(); ++i) {
    const size_t at = random.below(bytes.size());
    switch (random.below(4)) {
      case 0:
        bytes[at] = static_cast<char>(random.next());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
        break;
      case 2:
        bytes.erase(at, 1 + random.below(16));
        break;
      default:
        bytes.insert(at, bytes.substr(random.below(bytes.size()), random.below(16)));
    }
  }
  return random.below(10) == 0 ? bytes.substr(0, random.below(bytes.size() + 1)) : bytes;
}

TEST_CASE("damaged models never crash") {
  SplitMix64 random(1);
  DamagedModels models;
  for (const auto type : {ModelType::kBpe, ModelType::kUnigram}) {
    SentencePieceModel model = small_model(type);
    model.pieces.push_back({"[X]", 0, PieceType::kUserDefined});
    const std::string bytes = serialize(model);
    for (int i = 0; i < 800; ++i) models.usable(mutated(bytes, random));
  }
}

TEST_CASE("damaged copies of real models never crash") {
  SplitMix64 random(2);
  DamagedModels models;
  for (const char* name : {"stories260k/tokenizer.model", "tokenizers/tiny/m.model"}) {
    const auto path = shared_data(name);
    if (!path) return;
    const std::string bytes = read_bytes(*path);
    const int rounds = bytes.size() < 100'000 ? 300 : 40;
    for (int i = 0; i < rounds; ++i) models.usable(mutated(bytes, random));
  }
}

TEST_CASE("a refused model prints nothing") {
  TemporaryDirectory directory;
  const auto captured = directory / "stderr";
  FILE* file = std::fopen(captured.c_str(), "w");
  REQUIRE(file != nullptr);
  const int saved = ::dup(2);
  ::dup2(::fileno(file), 2);
  SentencePieceModel model = small_model();
  model.pieces.push_back({"ab", 0, PieceType::kNormal});
  const std::string message = load_error(serialize(model));
  ::dup2(saved, 2);
  ::close(saved);
  std::fclose(file);
  CHECK_FALSE(message.empty());
  CHECK(read_bytes(captured).empty());
}

}  // namespace
}  // namespace lora::test
