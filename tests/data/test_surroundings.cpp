// BOS and EOS around a text, beside what transformers 5 and 4 do with the same directory.

#include <nlohmann/json.hpp>

#include "lora/data/sample.h"
#include "lora/data/tokenizer.h"
#include "tests/catch.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/paths.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using nlohmann::json;

SentencePieceModel ab_model() {
  SentencePieceModel model;
  model.pieces = first_pieces();  // <unk>, <s>, </s> and the bytes
  float score = 0;
  for (const char* text : {"▁", "a", "b", "ab"}) model.pieces.push_back({text, score--, PieceType::kNormal});
  return model;
}

// The directory of one row of bos.json, as scripts/make_golden_bos.py makes it.
void write_files(const json& golden, const json& row, const TemporaryDirectory& directory) {
  json config = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
  config.update(row.at("flags"));
  if (!row.at("class").is_null()) config["tokenizer_class"] = row.at("class");
  write_bytes(directory / "tokenizer_config.json", config.dump());
  write_bytes(directory / "config.json", json{{"model_type", row.at("model")}}.dump());
  if (row.at("files") == "json") {
    write_bytes(directory / "tokenizer.json", golden.at("tokenizers").at(row.at("processor")).dump());
  } else if (row.at("files") == "model") {
    write_bytes(directory / "tokenizer.model", serialize(ab_model()));
  } else {
    write_bytes(directory / "vocab.json", golden.at("vocab").dump());
    write_bytes(directory / "merges.txt", "#version: 0.2\na b\n");
  }
}

TEST_CASE("the tokens around a text are those of transformers 5, and what transformers 4 does otherwise is said") {
  const json golden = json::parse(read_bytes(source_dir() / "tests/golden/tokenizers/bos.json"));
  size_t compared = 0, noted = 0;
  for (const json& row : golden.at("rows")) {
    if (row.at("now").is_null()) continue;
    const TemporaryDirectory directory;
    write_files(golden, row, directory);
    INFO(row.dump());
    const auto tokenizer = load_tokenizer(directory.path());
    const auto around = [&](bool added, std::optional<int64_t> id) {
      return added ? json::array({tokenizer->piece(*id)}) : json::array();
    };
    CHECK(around(tokenizer->adds_bos(), tokenizer->bos_id()) == row.at("now")[0]);
    CHECK(around(tokenizer->adds_eos(), tokenizer->eos_id()) == row.at("now")[1]);
    const json before = row.value("before", row.at("now"));
    const bool differs = !before.is_null() && before[0].empty() != row.at("now")[0].empty();
    CHECK(tokenizer->bos_note().empty() != differs);
    ++compared;
    noted += differs;
  }
  CHECK(compared > 2000);
  CHECK(noted > 500);
}

TEST_CASE("the note on BOS names the token, the reason and what transformers 4 does") {
  const TemporaryDirectory directory;
  const json golden = json::parse(read_bytes(source_dir() / "tests/golden/tokenizers/bos.json"));
  const json row = {{"files", "json"},
                    {"class", "LlamaTokenizerFast"},
                    {"model", "llama"},
                    {"flags", {{"add_bos_token", false}}},
                    {"processor", "bos"}};
  write_files(golden, row, directory);
  CHECK_THAT(load_tokenizer(directory.path())->bos_note(),
             Contains("'<s>' is put before each text") && Contains("the post-processor of tokenizer.json decides") &&
                 Contains("transformers 4 puts none for LlamaTokenizer with add_bos_token: false"));
}

TEST_CASE("a SentencePiece model without a tokenizer_config.json has BOS, and new tokens leave it so") {
  const TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.model", serialize(ab_model()));
  const auto bare = load_tokenizer(directory.path());
  CHECK(bare->adds_bos());
  CHECK_FALSE(bare->adds_eos());
  CHECK_THAT(bare->bos_note(), Contains("transformers 5 none"));
  CHECK(load_tokenizer(directory.path(), {"<|new|>"})->adds_bos());
  write_bytes(directory / "tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})");
  CHECK_FALSE(load_tokenizer(directory.path())->adds_bos());
  CHECK_FALSE(load_tokenizer(directory.path(), {"<|new|>"})->adds_bos());
}

TEST_CASE("new tokens leave BOS to the model type and the class") {
  const TemporaryDirectory directory;
  const json golden = json::parse(read_bytes(source_dir() / "tests/golden/tokenizers/bos.json"));
  json row = {{"files", "json"},
              {"class", "CodeLlamaTokenizer"},
              {"model", "llama"},
              {"flags", json::object()},
              {"processor", "none"}};
  for (const bool own_class : {true, false}) {
    row["model"] = own_class ? "llama" : "mistral";
    write_files(golden, row, directory);
    CHECK(load_tokenizer(directory.path())->adds_bos() == own_class);
    CHECK(load_tokenizer(directory.path(), {"<|new|>"})->adds_bos() == own_class);
  }
}

}  // namespace
}  // namespace lora::test
