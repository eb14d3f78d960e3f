// A classifier's adapters: PEFT's files both ways, with the head in them.

#include <ATen/ATen.h>

#include "lora/adapters/inject.h"
#include "lora/adapters/merged.h"
#include "lora/adapters/peft.h"
#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden_texts.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::shared_ptr<LlamaForCausalLM> load_classifier(const std::string& name) {
  return load_pretrained(golden_model(name), "auto", {read_model_config(golden_model(name)).labels});
}

std::set<std::string> tensor_names(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  std::set<std::string> names;
  for (const auto& [name, entry] : file.entries()) names.insert(name);
  return names;
}

AdapterConfig from(const std::filesystem::path& directory) {
  AdapterConfig config = read_peft_config(directory).config;
  config.init_from = directory.string();
  return config;
}

at::Tensor logits(LlamaForCausalLM& model, const GoldenTexts& texts) {
  const at::NoGradGuard no_grad;
  model.eval();
  return model.logits_at(texts.batch, texts.ends);
}

}  // namespace

TEST_CASE("a classifier's adapter that PEFT wrote gives PEFT's logits, and is written as PEFT wrote it") {
  for (const std::string name : {"classifier", "classifier_qwen2"}) {
    DYNAMIC_SECTION(name) {
      const GoldenTexts texts(name);
      const auto peft = golden_model(name) / "adapter";
      const auto model = load_classifier(name);
      const AdaptedModel adapted = inject(model, from(peft), 1);
      CHECK((logits(*model, texts) - texts.logits("adapted")).abs().max().item<double>() < 3e-5);

      const TemporaryDirectory directory;
      write_peft(directory.path(), adapted, "base");
      const std::string weights = "adapter_model.safetensors";
      CHECK(tensor_names(directory / weights) == tensor_names(peft / weights));
      const json file = read_json(directory / "adapter_config.json");
      CHECK(file["task_type"] == "SEQ_CLS");
      CHECK(file["modules_to_save"] == json{"score"});
      CHECK(read_labels(directory.path()) == model->config().labels);
      const auto again = load_classifier(name);
      inject(again, from(directory.path()), 2);
      CHECK(logits(*again, texts).equal(logits(*model, texts)));
    }
  }
}

TEST_CASE("a classifier's head is trained with every adapter, once, and carries none itself") {
  for (const std::vector<std::string>& saved : {std::vector<std::string>{}, {"score"}, {"norm", "score"}}) {
    const auto model = load_pretrained(golden_model("default"), "bfloat16", {{"a", "b", "c"}, 1});
    AdapterConfig config;
    config.target_modules = AllLinear{};
    config.modules_to_save = saved;
    const AdaptedModel adapted = inject(model, config, 1);
    CHECK(adapted.modules.size() == 14);
    CHECK(std::ranges::count(adapted.saved_modules, "score") == 1);
    CHECK(model->score->weight_matrix().requires_grad());
    CHECK(model->score->weight_matrix().scalar_type() == at::kFloat);
  }
}

TEST_CASE("a classifier's merged weights alone give the adapted model's logits") {
  const GoldenTexts texts("classifier");
  const auto model = load_classifier("classifier");
  inject(model, from(golden_model("classifier") / "adapter"), 1);
  std::map<std::string, at::Tensor> merged;
  for_each_merged_tensor(*model, [&](const std::string& key, const at::Tensor& tensor) { merged[key] = tensor; });
  CHECK_FALSE(merged.contains("lm_head.weight"));
  LlamaForCausalLM plain(model->config(), at::kFloat,
                         [&](const std::string& key, at::IntArrayRef) { return merged.at(key); });
  CHECK((logits(plain, texts) - texts.logits("adapted")).abs().max().item<double>() < 3e-5);
}

TEST_CASE("a classifier's adapter does not fit a language model, nor another number of labels") {
  const AdapterConfig config = from(golden_model("classifier") / "adapter");
  CHECK_THROWS_WITH(inject(load_pretrained(golden_model("default"), "auto"), config, 1),
                    Contains("is a classifier's adapter; expected one of a language model"));
  CHECK_THROWS_WITH(inject(load_pretrained(golden_model("default"), "auto", {{"a", "b"}}), config, 1),
                    Contains("base_model.model.score.weight") && Contains("expected [2, 16]"));
}
