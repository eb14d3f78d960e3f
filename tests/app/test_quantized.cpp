// Runs on quantized bases from outside: exact resume, the memory that was planned, both kinds of merge, and the plan of
// a model of which there is only a config.json.

#include <ATen/ATen.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "lora/adapters/inject.h"
#include "lora/adapters/merged.h"
#include "lora/checkpoints/store.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/app/runs.h"
#include "tests/catch.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::string nf4_recipe(const TemporaryDirectory& directory, const fs::path& model, const std::string& training) {
  write_bytes(directory / "recipe.yaml", "model: {path: " + model.string() + R"(, dtype: bfloat16, quantization: nf4}
adapter: {rank: 16, alpha: 32, dropout: 0.1, target_modules: all-linear}
data: {train: [{path: )" + (quickstart() / "data/train.jsonl").string() +
                                             R"(, format: completion}]}
training: {)" + training + R"(, learning_rate: 1.0e-3}
output_dir: )" + (directory / "run").string() +
                                             "\n");
  return (directory / "recipe.yaml").string();
}

void write_config(const fs::path& directory, int64_t hidden, int64_t inner, int64_t heads, int64_t layers,
                  int64_t vocab) {
  std::ofstream(directory / "config.json")
      << json{{"model_type", "llama"},        {"vocab_size", vocab},         {"hidden_size", hidden},
              {"intermediate_size", inner},   {"num_hidden_layers", layers}, {"num_attention_heads", heads},
              {"num_key_value_heads", heads}, {"torch_dtype", "bfloat16"}};
}

// A number before its unit ("about 41.2 GB at the peak"), in bytes.
double bytes_in(const std::string& text, const std::string& pattern) {
  std::smatch found;
  REQUIRE(std::regex_search(text, found, std::regex(pattern + "([0-9.]+) ([kMG]?)B")));
  const std::string unit = found[2];
  return std::stod(found[1]) * (unit == "G" ? 1e9 : unit == "M" ? 1e6 : unit == "k" ? 1e3 : 1);
}

}  // namespace

TEST_CASE("a run on an nf4 base that is resumed gives the bits of one that never stopped") {
  const TemporaryDirectory whole, parts;
  const std::string training = "batch_size: 2, max_length: 128, checkpoint_every: 3, max_steps: ";
  const Outcome outcome = run({"lora-train", nf4_recipe(whole, quickstart() / "model", training + "6")});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("Quantized   nf4, 21 projections") && Contains("bits each; relative error 0.0"));
  // The schedule of six steps, stopped after three.
  const std::string recipe = nf4_recipe(parts, quickstart() / "model", training + "6");
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  fs::remove_all(CheckpointStore(parts / "run").directory(6));
  const Outcome resumed = run({"lora-train", recipe, "--resume"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK_THAT(resumed.out, Contains("Resuming after step 3"));
  CHECK(weights(parts / "run", 6) == weights(whole / "run", 6));
}

TEST_CASE("a model is quantized as it streams in, and the run keeps to its planned memory") {
  const TemporaryDirectory directory;
  write_config(directory.path(), 768, 2304, 12, 10, 1024);
  fs::copy_file(quickstart() / "model/tokenizer.model", directory / "tokenizer.model");
  {
    NamedTensors tensors;
    for_each_merged_tensor(
        *make_random(directory.path(), "bfloat16", 1),
        [&](const std::string& name, const at::Tensor& tensor) { tensors.emplace_back(name, tensor); });
    write_safetensors(directory / "model.safetensors", tensors);
  }
  const Outcome outcome = run({"lora-train", nf4_recipe(directory, directory.path(),
                                                        "max_steps: 2, batch_size: 8, max_length: 256, memory: fast")});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  const double planned = bytes_in(outcome.out, "Memory      about ");
  const double measured = metrics(directory / "run").back()["peak_memory_bytes"].get<double>();
  CAPTURE(planned, measured, outcome.out);
  CHECK(std::abs(measured / planned - 1) < 0.1);
}

TEST_CASE("merging goes into the original weights or the dequantized ones, and says what each changes") {
  const auto adapter = GENERATE(as<std::string>{}, "adapter.method=lora", "adapter.method=dora", "adapter.init=olora");
  CAPTURE(adapter);
  const TemporaryDirectory directory;
  const std::string recipe =
      nf4_recipe(directory, quickstart() / "model", "max_steps: 20, batch_size: 4, max_length: 128");
  const Outcome trained = run({"lora-train", recipe, "model.dtype=float32", "export=[huggingface]", adapter});
  CAPTURE(trained.err);
  REQUIRE(trained.exit_code == 0);
  CHECK_THAT(unfolded(trained.out), Contains("merged into the original weights, whose logits differ by"));
  const auto merged = [&](const std::string& into) {
    const std::string output = (directory / into).string();
    const Outcome outcome = run({"lora-export", (directory / "run").string(), "--format", "huggingface", "--output",
                                 output, "--merge-into", into});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    std::smatch found;
    REQUIRE(std::regex_search(outcome.out, found, std::regex("logits differ by ([0-9.e-]+) at most")));
    return std::pair(SafetensorsFile(fs::path(output) / "model.safetensors"), std::stod(found[1]));
  };
  const auto [original, original_difference] = merged("original");
  const auto [dequantized, dequantized_difference] = merged("dequantized");
  CHECK(dequantized_difference < 1e-3);
  CHECK(original_difference > 10 * dequantized_difference);
  CHECK(read_bytes(directory / "run/merged/model.safetensors") == read_bytes(directory / "original/model.safetensors"));
  // The same update on two bases: the difference is what quantisation took away.
  const SafetensorsFile base(quickstart() / "model/model.safetensors");
  const std::string name = "model.layers.2.mlp.up_proj.weight";
  const at::Tensor w = base.tensor(name).to(at::kFloat);
  const at::Tensor lost = original.tensor(name) - dequantized.tensor(name);
  const double error = (lost.norm() / w.norm()).item<double>();
  CHECK(error > 0.05);
  CHECK(error < 0.12);
  CHECK(((original.tensor(name) - w).norm() / w.norm()).item<double>() > 1e-4);
}

TEST_CASE("lora-generate answers a run on a base quantized as it was trained on, or as told") {
  const TemporaryDirectory directory;
  const std::string recipe =
      nf4_recipe(directory, quickstart() / "model", "max_steps: 20, batch_size: 4, max_length: 128");
  REQUIRE(run({"lora-train", recipe, "model.dtype=float32", "export=[peft]"}).exit_code == 0);
  REQUIRE(run({"lora-export", (directory / "run").string(), "--format", "huggingface", "--output",
               (directory / "merged").string(), "--merge-into", "dequantized"})
              .exit_code == 0);
  write_bytes(directory / "prompts.jsonl", R"({"prompt": "Seven of"})");  // unlike the rows: no answer is certain
  const auto logprobs = [&](std::vector<std::string> model) {
    model.insert(model.begin(), "lora-generate");
    model.insert(model.end(), {"--prompts", (directory / "prompts.jsonl").string(), "--max-new-tokens", "4",
                               "--logprobs", "1", "--dtype", "float32"});
    const Outcome outcome = run(model);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    std::vector<double> found;
    const json row = json::parse(outcome.out);
    for (const json& token : row["tokens"]) found.push_back(token["logprob"]);
    return std::pair(found, outcome.err);
  };
  const std::string trained = (directory / "run").string();
  const auto [merged, merged_said] = logprobs({(directory / "merged").string()});
  const auto [same, same_said] = logprobs({trained});
  const auto [told, told_said] =
      logprobs({(quickstart() / "model").string(), "--adapter", trained, "--quantization", "nf4"});
  const auto [other, other_said] = logprobs({trained, "--quantization", "none"});
  CHECK(told == same);
  REQUIRE(same.size() == merged.size());
  for (size_t i = 0; i < same.size(); ++i) CHECK(same[i] == Approx(merged[i]).margin(1e-3));
  REQUIRE(!other.empty());
  CHECK(std::abs(other[0] - merged[0]) > 1e-2);
  CHECK_THAT(same_said + told_said, !Contains("--quantization"));
  CHECK_THAT(other_said, Contains("was trained with quantization: nf4, and answers with none (--quantization)"));
  check_refused({"lora-generate", trained, "--prompt", "x", "--quantization", "int4"}, 2,
                {"int4 not in {auto,none,int8,nf4}"});
}

TEST_CASE("a dry run of a config.json alone prints what the model would need, and says what was not read") {
  const TemporaryDirectory directory;
  fs::create_directories(directory / "llama-65b");
  write_config(directory / "llama-65b", 8192, 22016, 64, 80, 32000);
  const std::string recipe = nf4_recipe(directory, directory / "llama-65b",
                                        "max_steps: 1, max_length: 2048, micro_batch_size: 1, memory: low");
  const Outcome outcome = run({"lora-train", recipe, "--dry-run"});
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("Not read    weights") && Contains("Not read    data"));
  CHECK_THAT(outcome.out, Contains("nf4, 560 projections of 64,760,053,760 parameters"));
  const double weights_bytes = bytes_in(outcome.out, "weights ");
  CHECK(weights_bytes > 64.76e9 * 0.515 + 2 * 32000 * 8192 * 2);
  CHECK(weights_bytes < 64.76e9 * 0.517 + 2 * 32000 * 8192 * 2 + 1e9);
  CHECK_FALSE(fs::exists(directory / "run"));
  for (const char* other : {"adapter.method=dora", "adapter.init=pissa", "model.quantization=int8"}) {
    INFO(other);
    CHECK(run({"lora-train", recipe, "--dry-run", other}).exit_code == 0);
  }
  // Without --dry-run the absence of weights is an error.
  CHECK(run({"lora-train", recipe}).exit_code == 4);
}
