// What lora-inspect says of what is on disk, sound and not.

#include "lora/inspect/inspect.h"

#include <ATen/ATen.h>

#include <random>

#include "lora/adapters/inject.h"
#include "lora/adapters/peft.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using Json = nlohmann::ordered_json;

namespace {

namespace fs = std::filesystem;

Json json_of(const fs::path& path, const InspectOptions& options = {.each = true}) {
  return Json::parse(to_json(inspect(path, options)));
}

std::string odd(const Json& found) {
  std::string text;
  for (const auto& sentence : found["odd"]) text += sentence.get<std::string>() + "\n";
  return text;
}

// An adapter of the golden model, each B given `value`.
void write_adapter(const fs::path& directory, const std::string& base, double value) {
  const auto model = load_pretrained(golden_model(base), "float32");
  AdapterConfig config;
  config.rank = 4;
  config.alpha = 12;
  config.target_modules = std::vector<std::string>{"q_proj", "down_proj"};
  const AdaptedModel adapted = inject(model, config, 1);
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor, role] : trainable_parameters(*model)) {
    if (name.ends_with("lora_B")) at::Tensor(tensor).fill_(value);
  }
  write_peft(directory, adapted, golden_model(base).string());
}

// The same file with some tensors changed, taken out (undefined) or added.
void change(const fs::path& directory, const std::map<std::string, at::Tensor>& changes) {
  NamedTensors tensors;
  {
    const SafetensorsFile file(directory / "adapter_model.safetensors");
    std::map<std::string, at::Tensor> all;
    for (const auto& [name, entry] : file.entries()) all[name] = file.tensor(name).clone();
    for (const auto& [name, tensor] : changes) all[name] = tensor;
    for (const auto& [name, tensor] : all) {
      if (tensor.defined()) tensors.emplace_back(name, tensor);
    }
  }
  write_safetensors(directory / "adapter_model.safetensors", tensors);
}

const std::string kQ0 = "base_model.model.model.layers.0.self_attn.q_proj.";

}  // namespace

TEST_CASE("an adapter's pairs are told with rank, scaling and what they add to the base") {
  const TemporaryDirectory directory;
  write_adapter(directory.path(), "default", 0.25);
  const Json found = json_of(directory.path());
  CHECK(found["kind"] == "adapter");
  CHECK(found["method"] == "lora");
  CHECK(found["rank"] == 4);
  REQUIRE(found["adapted"].size() == 4);
  const Json& row = found["adapted"][1];
  CHECK(row["module"] == "model.layers.0.self_attn.q_proj");
  CHECK(row["scaling"] == 3.0);
  CHECK(row["shape"] == Json({16, 16}));
  const SafetensorsFile file(directory / "adapter_model.safetensors");
  const at::Tensor delta = file.tensor(kQ0 + "lora_B.weight").mm(file.tensor(kQ0 + "lora_A.weight")) * 3;
  CHECK(std::abs(row["norm"].get<double>() - delta.norm().item<double>()) < 1e-5);
  CHECK(std::abs(row["effective_rank"].get<double>() - 1) < 1e-3);  // all columns of B are alike
  CHECK(row["rank_99"] == 1);
  const at::Tensor w =
      SafetensorsFile(golden_model("default") / "model.safetensors").tensor("model.layers.0.self_attn.q_proj.weight");
  CHECK(std::abs(row["relative_norm"].get<double>() - (delta.norm() / w.norm()).item<double>()) < 1e-5);
  CHECK(found["odd"].empty());

  const std::string text = to_text(inspect(directory.path(), {}), 64);
  CHECK_THAT(text, Contains("model.layers.*.self_attn.q_proj") && Contains("16 × 16") && Contains("Nothing odd."));
}

TEST_CASE("numbers of a column have the same decimals, where they are near enough") {
  Inspection inspection;
  inspection.tables = {{"of_modules",
                        "Modules",
                        {{"name", "module"}, {"norm", "norm"}, {"rank", "rank"}, {"far", "far apart"}},
                        {{"q", 2.5, 8.0, 1e-6}, {"k", 10.25, 16.0, 2.0}, {"v", nullptr, 4.0, 0.0}}}};
  CHECK_THAT(to_text(inspection, 64), Contains("  module    norm  rank  far apart\n"
                                               "  q        2.500     8      1e-06\n"
                                               "  k       10.250    16          2\n"
                                               "  v                  4          0\n"));
}

TEST_CASE("what is odd about an adapter is said, and nothing of it is an error") {
  const TemporaryDirectory directory;
  const auto said = [&](const std::map<std::string, at::Tensor>& changes, double value = 0.25) {
    write_adapter(directory.path(), "default", value);
    if (!changes.empty()) change(directory.path(), changes);
    return odd(json_of(directory.path()));
  };
  CHECK_THAT(said({}, 0), Contains("B is zero in all 4 pairs"));
  CHECK_THAT(said({{kQ0 + "lora_B.weight", at::Tensor()}}), Contains("q_proj' has no lora_B"));
  CHECK_THAT(said({{kQ0 + "lora_A.weight", at::full({4, 16}, NAN)}}), Contains("64 values that are NaN"));
  CHECK_THAT(said({{kQ0 + "lora_A.weight", at::zeros({4, 16})}}), Contains("A is zero in 1 of 4 pairs"));
  CHECK_THAT(said({{kQ0 + "lora_A.weight", at::ones({5, 16})}}), Contains("A has 5 rows and B 4 columns"));
  CHECK_THAT(said({{kQ0 + "lora_A.weight", at::ones({20, 16})}, {kQ0 + "lora_B.weight", at::ones({16, 20})}}),
             Contains("rank 20 is more than the smaller side") && Contains("adapter_config.json says 4"));
  CHECK_THAT(said({{kQ0 + "lora_A.weight", at::ones({4, 12})}}), Contains("the base's is [16, 16]"));
  CHECK_THAT(said({{kQ0 + "lora_A.weight", at::ones({4, 16}, at::kBFloat16)}}),
             Contains("of several dtypes: BF16, F32"));
  CHECK_THAT(said({{kQ0 + "lora_A.weight", at::ones({4})}}), Contains("expected a matrix"));
  CHECK_THAT(said({{kQ0 + "lora_A.weight", at::Tensor()}, {kQ0 + "lora_B.weight", at::Tensor()}}),
             Contains("'model.layers.*.self_attn.q_proj' is adapted in 1 of 2 layers"));
  CHECK_THAT(said({{"base_model.model.lm_head.weight", at::ones({48, 64})}}), Contains("trained whole makes up"));
  CHECK_THAT(said({{"stray", at::ones({1})}}), Contains("'stray' has no name that PEFT gives"));

  write_adapter(directory.path(), "default", 0.25);
  write_file_atomically(directory / "adapter_config.json", R"({"peft_type": "LORA", "use_wonder": true})");
  CHECK_THAT(odd(json_of(directory.path())), Contains("use_wonder"));
  write_file_atomically(directory / "adapter_config.json", "{");
  CHECK(json_of(directory.path())["adapted"].size() == 4);
}

TEST_CASE("adapters of embeddings, rows, biases and other methods are told as what they are") {
  for (const char* name : {"tied_embedding", "rows", "bias_all", "parted_both", "lora_bias", "parted_head"}) {
    INFO(name);
    const fs::path path = source_dir() / "tests/golden/peft_options" / name;
    const Json found = json_of(path, {.base = golden_model(read_peft_config(path).base_model), .each = true});
    INFO(odd(found));
    CHECK(found["adapted"].size() >= 2);
    for (const auto& row : found["adapted"]) CHECK(row["norm"].get<double>() > 0);
    const bool parts = std::string(name) == "parted_head";
    CHECK((odd(found).find("lm_head alone is trained: the two part") != std::string::npos) == parts);
    if (std::string(name) == "rows") CHECK(found["trained_whole"][0]["what"] == "rows of tokens");
    if (std::string(name) == "bias_all") CHECK(found["trained_whole"][0]["what"] == "bias");
    if (std::string(name) == "tied_embedding") {
      // The pair is in the file twice, and both are the same update.
      CHECK(found["adapted"][0]["module"] == "lm_head");
      CHECK(std::abs(found["adapted"][0]["norm"].get<double>() - found["adapted"][1]["norm"].get<double>()) < 1e-5);
      CHECK(found["adapted"][1]["shape"] == Json({48, 16}));
    }
  }
}

TEST_CASE("a model's directory is held against its config.json") {
  const Json found = json_of(golden_model("tied"));
  CHECK(found["kind"] == "model");
  CHECK(found["tie_word_embeddings"] == true);
  CHECK(found["vocab_size"] == 48);
  CHECK(found["odd"].empty());

  const TemporaryDirectory directory;
  fs::copy(golden_model("default"), directory.path(),
           fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  NamedTensors tensors;
  {
    const SafetensorsFile file(directory / "model.safetensors");
    for (const auto& [name, entry] : file.entries()) {
      at::Tensor tensor = file.tensor(name).clone();
      if (name == "model.norm.weight") continue;
      if (name == "lm_head.weight") tensor[3][4] = INFINITY;
      if (name == "model.layers.0.input_layernorm.weight") tensor.zero_();
      tensors.emplace_back(name, tensor);
    }
    tensors.emplace_back("wonder", at::ones({2}));
  }
  write_safetensors(directory / "model.safetensors", tensors);
  const std::string text = odd(json_of(directory.path()));
  CHECK_THAT(text, Contains("not there: 'model.norm.weight'") && Contains("no place for 'wonder'") &&
                       Contains("'lm_head.weight' has 1 values that are infinite") &&
                       Contains("'model.layers.0.input_layernorm.weight' is zero throughout"));
  CHECK_THAT(odd(json_of(directory.path(), {.read_values = false})), !Contains("infinite"));
  write_file_atomically(directory / "config.json", R"({"model_type": "wonder", "hidden_size": [1]})");
  CHECK_THAT(odd(json_of(directory.path())), Contains("cannot be trained or merged here"));
}

TEST_CASE("a run is told by its losses, also where lines or checkpoints are damaged") {
  const TemporaryDirectory directory;
  fs::create_directories(directory / "checkpoints");
  std::string rows;
  for (int step = 0; step <= 20; ++step) {
    rows += Json({{"step", step}, {"loss", 4.0 - 0.1 * step}, {"tokens_per_second", 1000}}).dump() + "\n";
  }
  rows += R"({"step": 20, "eval_loss": null})"
          "\n"
          R"({"step": 2)";
  write_file_atomically(directory / "metrics.jsonl", rows);
  const Json found = json_of(directory.path());
  CHECK(found["kind"] == "run");
  CHECK(found["loss"] == 2.0);
  CHECK_THAT(found["loss_curve"].get<std::string>(),
             Catch::Matchers::StartsWith("█") && Catch::Matchers::EndsWith("▁"));
  CHECK_THAT(odd(found), Contains("1 lines that are not rows") && Contains("not finite, first at step 20") &&
                             Contains("no whole checkpoint"));
  CHECK_THAT(to_text(inspect(directory.path(), {}), 64), Contains("4.0000 at step 0, 2.0000 at step 20"));
}

TEST_CASE("a path that is none of these is a model error that says what was expected") {
  const TemporaryDirectory directory;
  CHECK_THROWS_AS(inspect(directory / "nowhere", {}), ModelError);
  CHECK_THROWS_WITH(inspect(directory.path(), {}), Contains("neither a run, a checkpoint"));
  write_file_atomically(directory / "text", "hello");
  CHECK_THROWS_AS(inspect(directory / "text", {}), ModelError);
}

TEST_CASE("damaged bytes are told or refused, and never end the process") {
  const TemporaryDirectory directory;
  std::mt19937 random(7);
  const auto damaged = [&](std::string bytes, size_t upto) {
    for (int i = 0; i < 3; ++i) bytes[random() % std::min(upto, bytes.size())] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    return bytes;
  };
  const auto content = [](const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  write_adapter(directory.path(), "default", 0.25);
  const std::string config = content(directory / "adapter_config.json");
  const std::string weights = content(directory / "adapter_model.safetensors");
  const size_t header = 8 + 8 * 120;
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    const bool in_config = i % 2 == 0;
    std::ofstream(directory / "adapter_config.json", std::ios::binary) << (in_config ? damaged(config, 4096) : config);
    std::ofstream(directory / "adapter_model.safetensors", std::ios::binary)
        << (in_config ? weights : damaged(weights, header));
    try {
      to_text(inspect(directory.path(), {}), 64);
      to_json(inspect(directory.path(), {.each = true}));
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 50);
  CHECK(refused < 250);
}
