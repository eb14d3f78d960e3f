// What exports carry of the chats that a model was trained with.

#include <nlohmann/json.hpp>

#include "lora/data/chat_template.h"
#include "lora/export/export.h"
#include "lora/export/gguf_vocabulary.h"
#include "models/io/gguf.h"
#include "tests/catch.h"
#include "tests/data/gguf_vocabulary.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/export/trained_model.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// A golden model with a tokenizer of its 48 rows: <unk>, <s>, </s>, <|im_start|>, <|im_end|>, <|end|> and letters.
struct ChatModel {
  TemporaryDirectory directory;
  Trained trained;
  std::unique_ptr<Tokenizer> tokenizer;

  static fs::path with_tokenizer(const TemporaryDirectory& directory, const json& config) {
    fs::copy(golden_model("default"), directory / "base");
    json vocab, added = json::array();
    const std::vector<std::string> special = {"<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|end|>"};
    for (const std::string& name : special) {
      added.push_back({{"id", vocab.size()}, {"content", name}, {"special", true}});
      vocab[name] = vocab.size();
    }
    for (const char* name : {"Ċ", "Ġ"}) vocab[name] = vocab.size();
    for (char c = 'a'; c <= 'z'; ++c) vocab[std::string(1, c)] = vocab.size();
    const json tokenizer = {{"added_tokens", added},
                            {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                            {"decoder", {{"type", "ByteLevel"}}},
                            {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}};
    write_bytes(directory / "base/tokenizer.json", tokenizer.dump());
    write_bytes(directory / "base/tokenizer_config.json", config.dump());
    return directory / "base";
  }

  explicit ChatModel(const json& config = {{"eos_token", "</s>"}, {"bos_token", "<s>"}})
      : trained(with_tokenizer(directory, config)), tokenizer(load_tokenizer(trained.directory)) {}

  ExportSource source(const std::string& chat_template) const {
    ExportSource source = trained.source();
    source.tokenizer = tokenizer.get();
    source.tokenizer_files = tokenizer->files();
    if (!chat_template.empty()) source.chat = find_chat_template(chat_template, *tokenizer);
    return source;
  }
};

std::string chatml() {
  for (const BuiltinTemplate& one : builtin_templates()) {
    if (one.name == "chatml") return one.source;
  }
  return "";
}

}  // namespace

TEST_CASE("a merged model has the chat template trained with, and stops at the end of a turn") {
  const ChatModel model;
  const std::string line = export_as("huggingface", model.source("chatml"), model.directory / "merged");
  CHECK_THAT(line, Contains("answers end with '<|im_end|>', chat template chatml"));
  CHECK(read_template_files(model.directory / "merged").text == chatml());
  const json generation = read_json(model.directory / "merged/generation_config.json");
  const json config = read_json(model.directory / "base/config.json");
  CHECK(generation["eos_token_id"] == json::array({config.at("eos_token_id"), 4}));
  CHECK(generation["bos_token_id"] == config.at("bos_token_id"));
  CHECK_FALSE(generation.contains("_from_model_config"));
}

TEST_CASE("the ends of turns come to those that the generation config has, each once") {
  const ChatModel model;
  const auto ends = [&](const std::string& before, const std::string& chat_template) {
    write_bytes(model.trained.directory / "generation_config.json", before);
    export_as("huggingface", model.source(chat_template), model.directory / "merged");
    return read_json(model.directory / "merged/generation_config.json");
  };
  CHECK(ends(R"({"eos_token_id": 2, "top_p": 0.5})", "chatml") ==
        json::parse(R"({"eos_token_id": [2, 4], "top_p": 0.5})"));
  CHECK(ends(R"({"eos_token_id": [4, 2]})", "chatml") == json::parse(R"({"eos_token_id": [4, 2]})"));
  CHECK(ends(R"({"eos_token_id": null})", "chatml") == json::parse(R"({"eos_token_id": 4})"));
  CHECK(ends(R"({"top_p": 0.5})", "") == json::parse(R"({"top_p": 0.5})"));  // no chats
  CHECK(ends(R"({"eos_token_id": 3})", "plain") == json::parse(R"({"eos_token_id": [3, 2]})"));
}

TEST_CASE("the template trained with takes the place of the model's own in every export") {
  const ChatModel model(
      {{"eos_token", "</s>"},
       {"bos_token", "<s>"},
       {"chat_template", {{{"name", "default"}, {"template", "old"}}, {{"name", "tool_use"}, {"template", "tools"}}}}});
  const auto at = [&](const char* name) { return model.directory / name; };
  export_as("huggingface", model.source("zephyr"), at("merged"));
  export_as("peft", model.source("zephyr"), at("adapter"));
  for (const char* name : {"merged", "adapter"}) {
    const TemplateFiles found = read_template_files(at(name));
    CHECK(found.text == model.source("zephyr").chat->files().text);
    CHECK(found.others.empty());
    CHECK(found.where == "tokenizer_config.json");
    CHECK(load_tokenizer(at(name))->eos_id() == 2);
  }
  // Without chats, and with the model's own template, all that the model has stays.
  for (const char* chosen : {"", "model"}) {
    export_as("huggingface", model.source(chosen), at("merged"));
    CHECK(read_bytes(at("merged") / "tokenizer_config.json") == read_bytes(at("base") / "tokenizer_config.json"));
  }
  export_as("peft", model.source(""), at("adapter"));
  CHECK_FALSE(fs::exists(at("adapter") / "tokenizer_config.json"));
}

TEST_CASE("a GGUF vocabulary has the template trained with, and the end of a turn that is not EOS as EOT") {
  const TemporaryDirectory directory;
  SentencePieceModel pieces;
  pieces.pieces = first_pieces();
  write_bytes(directory / "tokenizer.model", serialize(pieces));
  ModelConfig config;
  config.vocab_size = 270;
  const auto tokenizer = load_tokenizer(directory.path());
  const auto eot = [&](const std::vector<int64_t>& ends) -> std::optional<uint32_t> {
    const GgufMetadata found =
        gguf_vocabulary(directory.path(), tokenizer.get(), config, {"", "t", {{"rag", "r"}}}, ends);
    CHECK(std::get<std::string>(*find_value(found, "tokenizer.chat_template")) == "t");
    CHECK(std::get<std::string>(*find_value(found, "tokenizer.chat_template.rag")) == "r");
    CHECK(std::get<uint32_t>(*find_value(found, "tokenizer.ggml.eos_token_id")) == 2);
    const GgufValue* id = find_value(found, "tokenizer.ggml.eot_token_id");
    return id ? std::optional(std::get<uint32_t>(*id)) : std::nullopt;
  };
  CHECK(eot({2, 7, 8}) == 7);
  CHECK(eot({2}) == std::nullopt);
  CHECK(eot({}) == std::nullopt);
}
