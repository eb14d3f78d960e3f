// What is said of a path that is not the directory of a model.

#include "models/network/model_directory.h"

#include "tests/catch.h"
#include "tests/error_message.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

std::string error_of_model(const fs::path& path) {
  return error_message<ModelError>([&] { expect_model_directory(path); });
}

TEST_CASE("a model's path that leads nowhere is named with the absolute path, and a name of a hub with what to do") {
  const std::string here = fs::current_path().string();
  CHECK(error_of_model("nowhere/tiny/model") ==
        "[model] nowhere/tiny/model: no such directory; looked for " + here + "/nowhere/tiny/model");
  CHECK(error_of_model("TinyLlama/TinyLlama-1.1B") ==
        "[model] TinyLlama/TinyLlama-1.1B: no such directory; nothing is downloaded here: for a name on "
        "the Hugging Face Hub, run hf download TinyLlama/TinyLlama-1.1B --local-dir DIR, and give DIR; looked for " +
            here + "/TinyLlama/TinyLlama-1.1B");
  // tests/ is a folder here, so that this is no name of a hub.
  CHECK_THAT(error_of_model("tests/tiny"), !Contains("hf download"));
  CHECK(hub_hint("tatsu-lab/alpaca", "--repo-type dataset ") ==
        "; nothing is downloaded here: for a name on the Hugging Face Hub, run hf download --repo-type dataset "
        "tatsu-lab/alpaca --local-dir DIR, and give DIR");
  for (const char* path :
       {"", "./a", "/a/b", "a/b/c", "a b", "train.jsonl", "data/train.csv", "a/", "models/Qwen3-4B"}) {
    CHECK(hub_hint(path, "").empty());
  }
}

TEST_CASE("a file in place of a model's directory is named by its kind") {
  const TemporaryDirectory directory;
  const auto error = [&](const std::string& name, const std::string& bytes) {
    write_bytes(directory / name, bytes);
    return error_of_model(directory / name);
  };
  const std::string expected =
      "; expected the directory of a model in Hugging Face's form, with config.json, safetensors and the tokenizer's "
      "files";
  CHECK_THAT(error("model.gguf", std::string("GGUF\x03\0\0\0", 8)),
             Contains("model.gguf: is a GGUF file of llama.cpp" + expected));
  CHECK_THAT(error("model.bin", "PK\x03\x04"), Contains("model.bin: is a zip file (as torch.save's .pt and .bin"));
  // A header of 640 bytes, which a pickle's first two bytes are too.
  CHECK_THAT(error("model.safetensors", std::string("\x80\x02\0\0\0\0\0\0{}", 10)),
             Contains("model.safetensors: is a file of weights alone" + expected));
  CHECK_THAT(error("r.yaml", "model: {}\n"), Contains("r.yaml: is a recipe" + expected));
  CHECK_THAT(error("x", "x"), Contains("x: is a file" + expected));
}

TEST_CASE("a directory that holds no model is named by what it holds") {
  const auto error = [&](const std::string& name, const std::string& bytes = "{}") {
    const TemporaryDirectory directory;
    write_bytes(directory / name, bytes);
    return error_of_model(directory.path());
  };
  CHECK_THAT(error("adapter_config.json"), Contains(": is an adapter, not a model"));
  CHECK_THAT(error("metrics.jsonl"), Contains(": is a run, not a model"));
  CHECK_THAT(error("params.json"), Contains("Meta's own files (params.json)"));
  CHECK_THAT(error("model-q4.gguf"), Contains("holds a GGUF file (model-q4.gguf) and no config.json"));
  CHECK_THAT(error("refs"), Contains("one of the directories in its 'snapshots'"));
  CHECK_THAT(error("notes.txt"), Contains("no readable config.json"));
  CHECK_THAT(
      error("config.json", "version https://git-lfs.github.com/spec/v1\n"),
      Contains("config.json: is a Git LFS pointer, not the file itself; run git lfs pull; expected a JSON file"));
}

TEST_CASE("a family that is not supported is said before a tokenizer or weights are looked for") {
  const auto error = [&](const std::string& type) {
    const TemporaryDirectory directory;
    write_bytes(directory / "config.json", "{\"model_type\": \"" + type + "\"}");
    return error_of_model(directory.path());
  };
  CHECK_THAT(error("gpt2"), Contains("'model_type' is 'gpt2'; supported are llama, "));
  CHECK_THAT(error("qwen3_moe"), Contains("'model_type' is 'qwen3_moe'"));
}

}  // namespace
}  // namespace lora::test
