// LoRA in the network: what is trained, what it computes, and that merging changes nothing.

#include "lora/adapters/inject.h"

#include <ATen/ATen.h>

#include "lora/adapters/merged.h"
#include "lora/adapters/methods/lora.h"
#include "lora/adapters/peft.h"
#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/adapters/adapted_model.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

// As if it had been trained: B may be zero at first.
void perturb(const AdaptedModel& adapted) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  for (const AdaptedModule& module : adapted.modules) {
    for (const at::Tensor& p : module.layer->parameters()) {
      if (p.requires_grad()) at::Tensor(p).add_(at::randn_like(p), 0.1);
    }
  }
}

}  // namespace

TEST_CASE("a fresh adapter leaves the model as it was, and only it is trained") {
  const std::string method = GENERATE("lora", "dora");
  const size_t tensors = method == "dora" ? 3 : 2;
  for (const char* dtype : {"float32", "bfloat16"}) {
    const auto plain = load_pretrained(golden_model("default"), dtype);
    const auto model = load_pretrained(golden_model("default"), dtype);
    AdapterConfig config = all_linear();
    config.method = method;
    const AdaptedModel adapted = inject(model, config, 1);
    CHECK(adapted.modules.size() == 14);
    if (method == "lora") CHECK(logits(*model).equal(logits(*plain)));
    const double bound = std::string(dtype) == "float32" ? 1e-6 : 5e-2;  // a few roundings
    CHECK(largest(logits(*model) - logits(*plain)) <= bound * largest(logits(*plain)));
    const auto trained = trainable_parameters(*model);
    CHECK(trained.size() == 14 * tensors);
    int64_t count = 0;
    for (const auto& [path, tensor, role] : trained) {
      CHECK(tensor.scalar_type() == at::kFloat);
      CHECK(path.find(".lora_") != std::string::npos);
      count += tensor.numel();
    }
    CHECK(adapted.trainable_parameters == count);
  }
}

TEST_CASE("A is Kaiming-uniform or Gaussian, B zero, and both depend on seed and path alone") {
  const auto model = load_pretrained(golden_model("default"), "auto");
  const AdaptedModel adapted = inject(model, all_linear(), 1);
  const auto* layer = dynamic_cast<const LoraLinear*>(adapted.modules[0].layer.get());
  REQUIRE(layer);
  CHECK(layer->lora_A.sizes() == at::IntArrayRef({4, 16}));
  CHECK(layer->lora_A.abs().max().item<double>() <= 1 / std::sqrt(16.0));
  CHECK(layer->lora_A.abs().max().item<double>() > 0.15);
  CHECK(layer->lora_B.eq(0).all().item<bool>());

  const auto other = load_pretrained(golden_model("default"), "auto");
  AdapterConfig few = all_linear();
  few.target_modules = std::vector<std::string>{"q_proj"};
  const AdaptedModel same_seed = inject(other, few, 1);
  CHECK(dynamic_cast<const LoraLinear*>(same_seed.modules[0].layer.get())->lora_A.equal(layer->lora_A));

  const auto third = load_pretrained(golden_model("default"), "auto");
  few.init = "gaussian";
  few.rank = 8;
  const AdaptedModel gaussian = inject(third, few, 1);
  const auto deviation = dynamic_cast<const LoraLinear*>(gaussian.modules[0].layer.get())->lora_A.std().item<double>();
  CHECK(deviation == Approx(1.0 / 8).epsilon(0.25));
}

TEST_CASE("the layer computes W x + b + (alpha / r) B A x") {
  const auto base = std::make_shared<DenseLinear>(at::randn({5, 7}), at::randn({5}));
  LoraLinear layer(base, {.config = {}, .rank = 3, .alpha = 6, .seed = 1});
  const at::NoGradGuard no_grad;
  layer.lora_B.normal_();
  const at::Tensor x = at::randn({4, 7});
  const at::Tensor wanted =
      at::linear(x, base->weight, base->bias) + 2 * x.matmul(layer.lora_A.t()).matmul(layer.lora_B.t());
  CHECK(largest(layer.forward(x) - wanted) < 1e-5);
  CHECK(largest(at::linear(x, layer.merged_weight(), base->bias) - wanted) < 1e-5);
}

TEST_CASE("with use_rslora the scaling is alpha / sqrt(r)") {
  const auto base = std::make_shared<DenseLinear>(at::randn({5, 7}));
  AdapterConfig config;
  config.use_rslora = true;
  LoraLinear layer(base, {.config = config, .rank = 4, .alpha = 6, .seed = 1});
  const at::NoGradGuard no_grad;
  layer.lora_B.normal_();
  const at::Tensor x = at::randn({4, 7});
  const at::Tensor wanted = at::linear(x, base->weight + 3 * at::mm(layer.lora_B, layer.lora_A));
  CHECK(largest(layer.forward(x) - wanted) < 1e-5);
  CHECK(largest(at::linear(x, layer.merged_weight()) - wanted) < 1e-5);
}

TEST_CASE("dropout acts in training only, and its mean is the plain output") {
  const auto base = std::make_shared<DenseLinear>(at::zeros({5, 7}));
  AdapterConfig config;
  config.dropout = 0.5;
  LoraLinear layer(base, {.config = config, .rank = 3, .alpha = 3, .seed = 1});
  const at::NoGradGuard no_grad;
  layer.lora_B.normal_();
  const at::Tensor x = at::ones({20000, 7});
  layer.eval();
  const at::Tensor plain = layer.forward(x)[0];
  layer.train();
  const at::Tensor dropped = layer.forward(x);
  CHECK_FALSE(dropped[0].equal(dropped[1]));
  CHECK(largest(dropped.mean(0) - plain) < 0.05);
}

TEST_CASE("merged weights alone give the adapted model's logits") {
  const auto [method, init] = GENERATE(table<std::string, std::string>(
      {{"lora", "kaiming"}, {"lora", "pissa"}, {"lora", "pissa_niter_2"}, {"lora", "olora"}, {"dora", "gaussian"}}));
  for (const char* name : {"default", "tied", "biases"}) {
    const auto model = load_pretrained(golden_model(name), "auto");
    AdapterConfig config = all_linear();
    config.method = method;
    config.init = init;
    config.rank_pattern = {{"q_proj", 2}};
    const AdaptedModel adapted = inject(model, config, 1);
    const at::Tensor before = logits(*model);
    perturb(adapted);
    const at::Tensor expected = logits(*model);
    CHECK(largest(expected - before) > 1e-2);
    std::map<std::string, at::Tensor> merged;
    for_each_merged_tensor(*model, [&](const std::string& key, const at::Tensor& tensor) { merged[key] = tensor; });
    LlamaForCausalLM plain(model->config(), at::kFloat,
                           [&](const std::string& key, at::IntArrayRef) { return merged.at(key); });
    // What rounding does to PiSSA and OLoRA differs between processors.
    CHECK(largest(logits(plain) - expected) < 5e-5 * largest(expected));
  }
}

TEST_CASE("modules_to_save are trained whole, as private float32") {
  const auto model = load_pretrained(golden_model("default"), "bfloat16");
  AdapterConfig config = all_linear();
  config.modules_to_save = {"lm_head", "model.norm"};
  const AdaptedModel adapted = inject(model, config, 1);
  CHECK(adapted.saved_modules == std::vector<std::string>{"model.norm", "lm_head"});
  CHECK(model->model->norm->weight.requires_grad());
  CHECK(model->model->norm->weight.scalar_type() == at::kFloat);
  CHECK(logits(*model).equal(logits(*load_pretrained(golden_model("default"), "bfloat16"))));
}

TEST_CASE("full fine-tuning trains everything and wraps nothing") {
  const auto model = load_pretrained(golden_model("tied"), "auto");
  AdapterConfig config;
  config.method = "full";
  const AdaptedModel adapted = inject(model, config, 1);
  CHECK(adapted.modules.empty());
  CHECK(adapted.trainable_parameters == adapted.total_parameters);
  CHECK(logits(*model).equal(logits(*load_pretrained(golden_model("tied"), "auto"))));
}

TEST_CASE("an adapter that is written and read again is the same, also through init_from") {
  const TemporaryDirectory directory;
  AdapterConfig config = all_linear();
  config.alpha_pattern = {{"up_proj", 3.5}};
  config.use_rslora = true;
  config.modules_to_save = {"lm_head"};
  const auto model = load_pretrained(golden_model("default"), "auto");
  const AdaptedModel adapted = inject(model, config, 1);
  perturb(adapted);
  write_peft(directory.path(), adapted, "base");

  const PeftAdapter read = read_peft_config(directory.path());
  CHECK(read.base_model == "base");
  CHECK(read.config.rank == 4);
  CHECK(read.config.alpha == 12);
  CHECK(read.config.use_rslora);
  CHECK(read.config.alpha_pattern == config.alpha_pattern);
  const auto again = load_pretrained(golden_model("default"), "auto");
  AdapterConfig from = read.config;
  from.init_from = directory.path().string();
  inject(again, from, 99);
  CHECK(logits(*again).equal(logits(*model)));
}

TEST_CASE("an adapter that does not fit is refused with the names") {
  const TemporaryDirectory directory;
  const auto model = load_pretrained(golden_model("default"), "auto");
  const AdaptedModel adapted = inject(model, all_linear(), 1);
  write_peft(directory.path(), adapted, "base");
  const auto load = [&](AdapterConfig config) {
    config.init_from = directory.path().string();
    inject(load_pretrained(golden_model("default"), "auto"), config, 1);
  };
  AdapterConfig config = all_linear();
  config.exclude_modules = std::vector<std::string>{"o_proj"};
  CHECK_THROWS_WITH(load(config), Contains("not expected") && Contains("o_proj"));
  config = all_linear();
  config.rank = 5;
  CHECK_THROWS_WITH(load(config), Contains("rank"));
  config = all_linear();
  config.alpha = 13;
  CHECK_THROWS_WITH(load(config), Contains("alpha"));
  config = all_linear();
  config.use_rslora = true;
  CHECK_THROWS_WITH(load(config), Contains("'use_rslora' is false"));
  write_bytes(directory / "adapter_config.json", R"({"peft_type": "LORA", "r": 4, "use_qalora": true})");
  CHECK_THROWS_WITH(load(all_linear()), Contains("'use_qalora'"));
  write_bytes(directory / "adapter_config.json", R"({"peft_type": "IA3"})");
  CHECK_THROWS_WITH(load(all_linear()), Contains("IA3"));
  write_bytes(directory / "adapter_config.json", "{");
  CHECK_THROWS_AS(load(all_linear()), ModelError);
}
