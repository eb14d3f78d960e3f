// What PEFT's LoraConfig can say beyond projections: adapted and whole embeddings and heads, tied and parted, rows of
// tokens, biases. Logits, loss and every gradient are PEFT's, and files go both ways. tests/golden/peft_options is made
// by scripts/make_golden_adapters.py.

#include <ATen/ATen.h>

#include "lora/adapters/adapter_set.h"
#include "lora/adapters/inject.h"
#include "lora/adapters/merged.h"
#include "lora/adapters/peft.h"
#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/golden_logits.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

std::filesystem::path golden(const std::string& name) { return source_dir() / "tests/golden/peft_options" / name; }

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto& item : std::filesystem::directory_iterator(source_dir() / "tests/golden/peft_options")) {
    found.push_back(item.path().filename().string());
  }
  std::ranges::sort(found);
  return found;
}

struct GoldenAdapter {
  explicit GoldenAdapter(const std::string& name, const std::string& from = "") {
    const auto directory = from.empty() ? golden(name) : std::filesystem::path(from);
    const PeftAdapter file = read_peft_config(golden(name));
    config = file.config;
    config.init_from = directory.string();
    model = load_pretrained(golden_model(file.base_model), "float32");
    adapted = inject(model, config, 1);
  }
  std::shared_ptr<LlamaForCausalLM> model;
  AdapterConfig config;
  AdaptedModel adapted;
};

std::shared_ptr<LlamaForCausalLM> merged(const LlamaForCausalLM& model) {
  std::map<std::string, at::Tensor> tensors;
  for_each_merged_tensor(model, [&](const std::string& name, const at::Tensor& t) { tensors.emplace(name, t); });
  return std::make_shared<LlamaForCausalLM>(model.config(), model.dtype(),
                                            [&](const std::string& name, at::IntArrayRef) { return tensors.at(name); });
}

}  // namespace

TEST_CASE("every option of a PEFT adapter gives PEFT's logits, loss and gradients, fused and not") {
  for (const std::string& name : names()) {
    for (const bool fused : {true, false}) {
      INFO(name << (fused ? ", fused" : ", plain"));
      GoldenAdapter loaded(name);
      const ExecutionPlan plan{.fused = fused};
      const SafetensorsFile expected(golden(name) / "expected.safetensors");
      const at::Tensor logits = expected.tensor("logits");
      CHECK(largest(last_logits(*loaded.model, plan) - logits) < 1e-5 * (1 + largest(logits)));
      const at::Tensor loss = mean_loss(*loaded.model, plan);
      CHECK(std::abs(loss.item<double>() - expected.tensor("loss").item<double>()) < 1e-5);
      loss.backward();
      size_t gradients = 0;
      for (const auto& [path, tensor] : trained_tensors(loaded.adapted)) {
        if (!tensor.requires_grad()) continue;  // the copy of what is tied
        const bool copy = !expected.contains(path);
        INFO(path);
        if (copy && path == "base_model.model.lm_head.weight") continue;
        REQUIRE(tensor.grad().defined());
        CHECK(largest(tensor.grad() - expected.tensor(path)) < 1e-5 * (1 + largest(expected.tensor(path))));
        ++gradients;
      }
      CHECK(gradients == expected.entries().size() - 2);
      CHECK(trainable_parameters(*loaded.model).size() == gradients);
    }
  }
}

TEST_CASE("what is merged has the logits of the adapter, with a head of its own where the two parted") {
  for (const std::string& name : names()) {
    INFO(name);
    GoldenAdapter loaded(name);
    const auto alone = merged(*loaded.model);
    CHECK(largest(last_logits(*alone) - last_logits(*loaded.model)) < 3e-5);
    const bool tied = read_model_config(golden_model(read_peft_config(golden(name)).base_model)).tie_word_embeddings;
    CHECK(alone->has_tied_head() == (tied && !name.starts_with("parted")));
  }
}

TEST_CASE("an adapter is written as PEFT wrote it, but for the base's own weights") {
  for (const std::string& name : names()) {
    INFO(name);
    GoldenAdapter loaded(name);
    const TemporaryDirectory directory;
    write_peft(directory.path(), loaded.adapted, read_peft_config(golden(name)).base_model);
    const SafetensorsFile ours(directory / "adapter_model.safetensors"),
        theirs(golden(name) / "adapter_model.safetensors");
    for (const auto& [key, entry] : theirs.entries()) {
      INFO(key);
      // Also under other names, where the vocabulary was resized.
      const bool again = name.starts_with("resized") && !ours.contains(key);
      if (key.ends_with(".base_layer.weight") || again) continue;
      REQUIRE(ours.contains(key));
      CHECK(ours.tensor(key).equal(theirs.tensor(key)));
    }
    for (const auto& [key, entry] : ours.entries()) CHECK(theirs.contains(key));
    const auto found = read_json(directory / "adapter_config.json"),
               wanted = read_json(golden(name) / "adapter_config.json");
    for (const char* key : {"bias", "lora_bias", "ensure_weight_tying", "use_dora", "use_rslora", "r", "rank_pattern",
                            "alpha_pattern", "peft_type"}) {
      INFO(key);
      CHECK(found[key] == wanted[key]);
    }
    GoldenAdapter again(name, directory.path().string());
    CHECK(largest(last_logits(*again.model) - last_logits(*loaded.model)) == 0);
  }
}

TEST_CASE("adapters of the embedding and the head come and go, and leave the base as it was") {
  auto model = load_pretrained(golden_model("tied"), "float32");
  const at::Tensor bare = last_logits(*model);
  const auto parameters = model->named_parameters().keys();
  AdapterSet set(model);
  std::map<std::string, at::Tensor> wanted;
  for (const char* name : {"tied_embedding", "parted_embedding", "parted_whole", "parted_both", "rows"}) {
    AdapterConfig config = read_peft_config(golden(name)).config;
    config.init_from = golden(name).string();
    set.add(name, config, 1);
    wanted[name] = SafetensorsFile(golden(name) / "expected.safetensors").tensor("logits").clone();
    CHECK_FALSE(set.only_adapts_layers(name));
  }
  for (int i = 0; i < 2; ++i) {
    for (const auto& [name, logits] : wanted) {
      INFO(name);
      set.activate(name);
      CHECK(largest(last_logits(*model) - logits) < 1e-5);
    }
    set.deactivate();
    CHECK(last_logits(*model).equal(bare));
    CHECK(model->has_tied_head());
    CHECK(model->named_parameters().keys() == parameters);
  }
}

TEST_CASE("a fresh adapter of the embedding leaves the model as it was and is counted once") {
  for (const bool tied : {true, false}) {
    auto model = load_pretrained(golden_model("tied"), "float32");
    const at::Tensor bare = last_logits(*model);
    AdapterConfig config;
    config.rank = 2;
    config.target_modules = std::vector<std::string>{"q_proj"};
    const int64_t before = inject(load_pretrained(golden_model("tied"), "float32"), config, 1).total_parameters;
    config.target_modules = std::vector<std::string>{"q_proj", "embed_tokens"};
    config.ensure_weight_tying = tied;
    const AdaptedModel adapted = inject(model, config, 1);
    CHECK(last_logits(*model).equal(bare));
    CHECK(adapted.total_parameters == before + 2 * (48 + 16));
    CHECK(model->has_tied_head() == tied);
  }
}

TEST_CASE("what an embedding cannot carry is refused by name") {
  const auto refused = [](const std::string& base, const std::function<void(AdapterConfig&)>& change) {
    auto model = load_pretrained(golden_model(base), "float32");
    AdapterConfig config;
    config.rank = 2;
    config.target_modules = std::vector<std::string>{"q_proj", "embed_tokens"};
    change(config);
    try {
      inject(model, config, 1);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("nothing");
  };
  CHECK_THAT(refused("default", [](AdapterConfig& c) { c.method = "dora"; }),
             Contains("method dora is for linear layers"));
  CHECK_THAT(refused("default", [](AdapterConfig& c) { c.method = "adalora"; }), Contains("method adalora"));
  CHECK_THAT(refused("tied", [](AdapterConfig& c) { c.init = "pissa"; }), Contains("init pissa"));
  CHECK_THAT(refused("default", [](AdapterConfig& c) { c.rank = 17; }), Contains("rank 17 of 'model.embed_tokens'"));
  CHECK_THAT(refused("default", [](AdapterConfig& c) { c.trainable_token_indices = {1}; }),
             Contains("expected one of the two"));
  CHECK_THAT(refused("tied", [](AdapterConfig& c) { c.trainable_token_indices = {1}; }),
             Contains("expected one of the two"));
  const auto rows = [&](const std::vector<int64_t>& indices) {
    return refused("tied", [&](AdapterConfig& c) {
      c.target_modules = AllLinear{};
      c.trainable_token_indices = indices;
    });
  };
  CHECK_THAT(rows({3, 3}), Contains("3 is named twice"));
  CHECK_THAT(rows({48}), Contains("48 is none of the 48 tokens"));
  CHECK_THAT(refused("default", [](AdapterConfig& c) { c.bias = Bias::kAll; }),
             Contains("this model's layers have no biases"));
  CHECK_THAT(refused("qwen2",
                     [](AdapterConfig& c) {
                       c.target_modules = std::vector<std::string>{"o_proj"};
                       c.bias = Bias::kLoraOnly;
                     }),
             Contains("the adapted layers have no biases"));
}

TEST_CASE("a bias of B cannot be merged where a layer has no place for it") {
  auto model = load_pretrained(golden_model("default"), "float32");
  AdapterConfig config;
  config.target_modules = AllLinear{};
  config.lora_bias = true;
  inject(model, config, 1);
  CHECK_THROWS_WITH(merged(*model), Contains("lora_bias") && Contains("q_proj"));
}

TEST_CASE("a file that says otherwise than the recipe, or of another base, is refused with what differs") {
  const auto refused = [](const std::string& name, const std::function<void(AdapterConfig&)>& change) {
    const PeftAdapter file = read_peft_config(golden(name));
    auto model = load_pretrained(golden_model(file.base_model), "float32");
    AdapterConfig config = file.config;
    config.init_from = golden(name).string();
    change(config);
    try {
      inject(model, config, 1);
    } catch (const ModelError& e) {
      return std::string(e.what());
    }
    return std::string("nothing");
  };
  CHECK_THAT(refused("rows",
                     [](AdapterConfig& c) {
                       c.trainable_token_indices = {3, 7, 40};
                     }),
             Contains("'trainable_token_indices' is [7, 3, 40]") && Contains("[3, 7, 40]"));
  CHECK_THAT(refused("parted_whole", [](AdapterConfig& c) { c.ensure_weight_tying = true; }),
             Contains("'ensure_weight_tying' is false"));
  CHECK_THAT(refused("tied_embedding", [](AdapterConfig& c) { c.ensure_weight_tying = false; }),
             Contains("not expected: 'base_model.model.lm_head.lora_A.weight'"));
  CHECK_THAT(refused("embedding", [](AdapterConfig& c) { c.alpha_pattern.clear(); }),
             Contains("alpha of 'model.embed_tokens'"));
  CHECK_THAT(refused("bias_all", [](AdapterConfig& c) { c.bias = Bias::kNone; }),
             Contains("k_proj.bias") && Contains("not expected"));

  // The weights of the base that PEFT writes along.
  const TemporaryDirectory directory;
  const SafetensorsFile file(golden("embedding") / "adapter_model.safetensors");
  NamedTensors tensors;
  for (const auto& [key, entry] : file.entries()) {
    tensors.emplace_back(key, key.ends_with(".base_layer.weight") ? file.tensor(key) + 1 : file.tensor(key));
  }
  write_safetensors(directory / "adapter_model.safetensors", tensors);
  std::filesystem::copy_file(golden("embedding") / "adapter_config.json", directory / "adapter_config.json");
  CHECK_THROWS_WITH(GoldenAdapter("embedding", directory.path().string()),
                    Contains("is another weight than the base's"));
}
