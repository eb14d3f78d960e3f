// Layers whose frozen weights stay in the host's memory: the results of a model that is on the device as a whole, and no
// copy more than there has to be.

#include <ATen/ATen.h>

#include <fstream>

#include "lora/adapters/inject.h"
#include "lora/adapters/merged.h"
#include "lora/inference/generation.h"
#include "lora/quantization/fetching.h"
#include "lora/quantization/quantizer.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/device/tested_device.h"
#include "tests/golden.h"
#include "tests/golden_families.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;

namespace {

struct Form {
  std::string method = "lora", quantization = "none", init = "kaiming";
  double dropout = 0;
  Recompute recompute = Recompute::kNone;
  bool fused = true;
};

// Five layers.
void write_deep_config(const std::filesystem::path& directory) {
  std::ofstream(directory / "config.json")
      << R"({"model_type": "qwen2", "vocab_size": 64, "hidden_size": 64, "intermediate_size": 128,
             "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 2, "torch_dtype": "float32"})";
}

// Random where the directory has no weights. `blocks`: null where the layers are on the device.
std::shared_ptr<LlamaForCausalLM> load(const std::filesystem::path& directory, const Form& form,
                                       const std::shared_ptr<HostBlocks>& blocks) {
  Quantizer quantizer = make_quantizer({form.quantization});
  if (blocks) quantizer = fetching(std::move(quantizer), blocks);
  auto model = has_weights(directory) ? load_pretrained(directory, "float32", {}, quantizer, device)
                                      : make_random(directory, "float32", /*seed=*/3, {}, quantizer, device);
  model->model->fetched = blocks;
  return model;
}

struct Fetching {
  Fetching(const std::filesystem::path& directory, const Form& form, bool fetched) {
    model = load(directory, form, fetched ? std::make_shared<HostBlocks>(device) : nullptr);
    AdapterConfig config;
    config.method = form.method;
    config.init = form.init;
    config.rank = 4;
    config.adalora.target_r = 2;
    config.dropout = form.dropout;
    config.target_modules = AllLinear{};
    adapted = inject(model, config, /*seed=*/5);
    const at::NoGradGuard no_grad;
    at::manual_seed(6);
    for (const TrainedParameter& one : trainable_parameters(*model)) {
      at::Tensor value = one.tensor;
      if (one.role == ParameterRole::kB) value.copy_(at::randn(value.sizes()) * 0.1);
      if (one.path.ends_with("lora_E")) value.copy_(at::randn(value.sizes()));
    }
  }

  at::Tensor loss(const Form& form) const {
    const at::Tensor ids = (at::arange(32, at::kLong) * 7919 + 13).remainder(model->config().vocab_size);
    at::manual_seed(7);  // of dropout
    return model->loss_sum({ids.to(device), {9, 1, 22}}, ids.roll(-1),
                           {.fused = form.fused, .recompute = form.recompute});
  }
  // The losses of two passes, and the gradients of both together.
  std::vector<at::Tensor> results(const Form& form) const {
    model->train();
    std::vector<at::Tensor> all;
    for (int pass = 0; pass < 2; ++pass) {
      const at::Tensor of_pass = loss(form);
      of_pass.backward();
      all.push_back(of_pass.detach().cpu());
    }
    for (const TrainedParameter& one : trainable_parameters(*model)) {
      if (one.tensor.grad().defined()) all.push_back(one.tensor.grad().cpu());
    }
    return all;
  }
  int64_t fetches() const { return model->model->fetched->fetches(); }

  std::shared_ptr<LlamaForCausalLM> model;
  AdaptedModel adapted;
};

void check_same_bits(const std::filesystem::path& directory, const Form& form) {
  INFO(directory.filename().string() << " " << form.method << " " << form.quantization << " " << form.init
                                     << " recompute " << static_cast<int>(form.recompute)
                                     << (form.fused ? "" : " plain"));
  const Fetching fetched(directory, form, true), whole(directory, form, false);
  const auto found = fetched.results(form), expected = whole.results(form);
  REQUIRE(found.size() == expected.size());
  REQUIRE(found.size() > 2);
  for (size_t i = 0; i < found.size(); ++i) CHECK(at::equal(found[i], expected[i]));
}

}  // namespace

TEST_CASE("fetched layers have the bits of layers on the device, whatever the method, the base and the plan",
          "[any_device]") {
  const TemporaryDirectory deep;
  write_deep_config(deep.path());
  for (const char* method : {"lora", "dora", "lora_fa", "adalora"}) {
    check_same_bits(deep.path(), {.method = method});
    check_same_bits(deep.path(), {.method = method, .fused = false});
  }
  for (const char* quantization : {"int8", "nf4"}) {
    check_same_bits(deep.path(), {.quantization = quantization});
    check_same_bits(deep.path(), {.quantization = quantization, .fused = false});
  }
  for (const Recompute level : {Recompute::kGateUp, Recompute::kLayer}) {
    check_same_bits(deep.path(), {.dropout = 0.3, .recompute = level});
  }
  check_same_bits(deep.path(), {.init = "pissa"});
  check_same_bits(golden_model("biases"), {});
  check_same_bits(golden_model("tied"), {});
}

TEST_CASE("every family's layers can be fetched", "[any_device]") {
  for (const std::string& name : golden_families()) check_same_bits(golden_family(name), {});
}

TEST_CASE("a pass copies each layer but the two that the pass before left there", "[any_device]") {
  const TemporaryDirectory deep;
  write_deep_config(deep.path());
  const Fetching fetched(deep.path(), {}, true);
  const int64_t layers = fetched.model->model->fetched->layers();
  REQUIRE(layers == 5);
  CHECK(fetched.fetches() == 0);
  int64_t before = 0;
  const auto copied = [&] { return fetched.fetches() - std::exchange(before, fetched.fetches()); };
  fetched.model->train();
  fetched.loss({}).backward();
  CHECK(copied() == layers + layers - 2);
  fetched.loss({}).backward();
  CHECK(copied() == layers - 2 + layers - 2);
  fetched.loss({.recompute = Recompute::kLayer}).backward();
  CHECK(copied() == layers - 2 + layers - 2);
  const at::NoGradGuard no_grad;
  fetched.loss({});
  CHECK(copied() == layers - 2);
  fetched.loss({});  // from the last two back to the first
  CHECK(copied() == layers);
}

TEST_CASE("layers below the first adapter have no backward pass, and are not fetched for one", "[any_device]") {
  const TemporaryDirectory deep;
  write_deep_config(deep.path());
  const auto blocks = std::make_shared<HostBlocks>(device);
  const auto model = load(deep.path(), {}, blocks);
  AdapterConfig config;
  config.target_modules = std::vector<std::string>{"q_proj"};
  config.layers_to_transform = {2};
  inject(model, config, /*seed=*/5);
  const at::Tensor ids = at::arange(9);
  model->loss_sum({ids.to(device), {9}}, ids.roll(-1)).backward();
  CHECK(blocks->fetches() == 5 + 1);  // the third layer was gone
}

TEST_CASE("answers and merged weights of fetched layers are those of layers on the device", "[any_device]") {
  const TemporaryDirectory deep;
  write_deep_config(deep.path());
  for (const char* quantization : {"none", "nf4"}) {
    INFO(quantization);
    const Form form{.quantization = quantization};
    const Fetching fetched(deep.path(), form, true), whole(deep.path(), form, false);
    fetched.loss(form);  // leaves layers in the blocks
    GenerationConfig config;
    config.max_new_tokens = 6;
    config.sampling.temperature = 0;
    const std::vector<std::vector<int64_t>> prompts = {{1, 5, 9, 2}, {3}};
    for (const Fetching* one : {&fetched, &whole}) one->model->eval();
    CHECK(generate(*fetched.model, prompts, config) == generate(*whole.model, prompts, config));
    std::vector<at::Tensor> found, expected;
    for_each_merged_tensor(*fetched.model, [&](const std::string&, const at::Tensor& t) { found.push_back(t.cpu()); });
    for_each_merged_tensor(*whole.model, [&](const std::string&, const at::Tensor& t) { expected.push_back(t.cpu()); });
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) CHECK(at::equal(found[i], expected[i]));
  }
}

TEST_CASE("a fetched model holds two layers, and not one more, on the device") {
  const TemporaryDirectory deep;
  write_deep_config(deep.path());
  const int64_t before = simulated_memory().held;
  const auto model = load(deep.path(), {}, std::make_shared<HostBlocks>(simulated_device()));
  int64_t beside = 0, layer = 0;
  for (const at::Tensor& p : model->parameters()) beside += static_cast<int64_t>(p.nbytes());
  CHECK(simulated_memory().held - before == beside);
  for (const ProjectionGroup group : kProjectionGroups) {
    for (const auto& linear : model->model->layers.front()->projections(group)) {
      layer += linear->out_features() * linear->in_features() * 4;
    }
  }
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::arange(9);
  model->loss_sum({ids.to(simulated_device()), {9}}, ids.roll(-1));
  CHECK(simulated_memory().held - before >= beside + 2 * layer);
  CHECK(simulated_memory().held - before < beside + 3 * layer);
}
