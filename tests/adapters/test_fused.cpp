// The fused decoder layer against the plain path: the same loss and the same gradient of every trained tensor.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <fstream>

#include "lora/adapters/inject.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using nlohmann::json;

namespace {

struct Shape {
  int64_t hidden, inner, heads, kv_heads, head_dim;
  bool biases;
};

std::shared_ptr<LlamaForCausalLM> random_model(const Shape& shape, const std::string& dtype) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "config.json") << json{{"model_type", "llama"},
                                                          {"vocab_size", 97},
                                                          {"hidden_size", shape.hidden},
                                                          {"intermediate_size", shape.inner},
                                                          {"num_hidden_layers", 2},
                                                          {"num_attention_heads", shape.heads},
                                                          {"num_key_value_heads", shape.kv_heads},
                                                          {"head_dim", shape.head_dim},
                                                          {"rms_norm_eps", 1e-5},
                                                          {"initializer_range", 0.08},
                                                          {"attention_bias", shape.biases},
                                                          {"mlp_bias", shape.biases}};
  auto model = make_random(directory.path(), dtype, 3);
  if (shape.biases) {
    const at::NoGradGuard no_grad;
    at::manual_seed(5);
    for (const auto& p : model->named_parameters()) {
      if (p.key().ends_with(".bias")) at::Tensor(p.value()).normal_(0.0, 0.1);
    }
  }
  return model;
}

// B starts at zero, where the gradient of A is zero too: fill it. Likewise AdaLoRA's Λ.
void adapt(const std::shared_ptr<LlamaForCausalLM>& model, const AdapterConfig& config) {
  inject(model, config, 11);
  const at::NoGradGuard no_grad;
  at::manual_seed(7);
  for (const auto& [name, p, role] : trainable_parameters(*model)) {
    if (name.ends_with("lora_B") || name.ends_with("lora_E")) at::Tensor(p).normal_(0.0, 0.1);
    if (name.ends_with("lora_magnitude_vector")) at::Tensor(p).mul_(at::rand_like(p).add_(0.5));
  }
}

struct Result {
  double loss;
  std::vector<std::pair<std::string, at::Tensor>> grads;
};

Result run(LlamaForCausalLM& model, const std::vector<int64_t>& lengths, bool fused, Recompute level) {
  int64_t n = 0;
  for (const int64_t length : lengths) n += length;
  const at::Tensor ids = (at::arange(n, at::kLong) * 31 + 7).remainder(97);
  at::Tensor targets = (ids * 5 + 2).remainder(97);
  targets.slice(0, n / 3, n / 2) = kIgnoredTarget;
  model.train();
  at::manual_seed(99);  // of dropout
  for (const auto& [name, p, role] : trainable_parameters(model)) at::Tensor(p).mutable_grad() = at::Tensor();
  const at::Tensor loss =
      model.loss_sum({ids, lengths}, targets, {.fused = fused, .recompute = level}) / static_cast<double>(n);
  loss.backward();
  Result result{loss.item<double>(), {}};
  for (const auto& [name, p, role] : trainable_parameters(model)) result.grads.emplace_back(name, p.grad().clone());
  return result;
}

void check_equal(const Result& found, const Result& wanted, double loss_bound, double gradient_bound) {
  CHECK(std::abs(found.loss - wanted.loss) <= loss_bound * (1 + std::abs(wanted.loss)));
  REQUIRE(found.grads.size() == wanted.grads.size());
  double largest = 0;
  for (const auto& [name, grad] : wanted.grads) largest = std::max(largest, grad.norm().item<double>());
  for (size_t i = 0; i < wanted.grads.size(); ++i) {
    INFO(wanted.grads[i].first);
    const at::Tensor &a = found.grads[i].second, &b = wanted.grads[i].second;
    // Some gradients are zero but for rounding: those of q and k in a sample of one token.
    if ((a - b).norm().item<double>() > 1e-6 * largest) CHECK(relative(a, b) <= gradient_bound);
  }
}

const Shape kShapes[] = {
    {64, 96, 4, 4, 16, false},    // as many key heads as query heads
    {64, 96, 8, 2, 8, true},      // grouped queries, biases, a head narrower than a vector
    {48, 80, 3, 1, 20, false},    // sizes that no vector divides
    {96, 160, 3, 3, 64, false},   // SmolLM2's head
    {128, 64, 1, 1, 128, false},  // Llama 3's head
};
const std::vector<int64_t> kBatches[] = {{1}, {37}, {5, 1, 64, 33}, {130, 17, 16}};
const Recompute kLevels[] = {Recompute::kNone, Recompute::kGateUp, Recompute::kLayer};

}  // namespace

TEST_CASE("fused layers give the plain path's loss and gradients") {
  for (const Shape& shape : kShapes) {
    for (const double dropout : {0.0, 0.2}) {
      DYNAMIC_SECTION("hidden " << shape.hidden << ", head " << shape.head_dim << ", dropout " << dropout) {
        const auto model = random_model(shape, "float32");
        AdapterConfig config;
        config.target_modules = AllLinear{};
        config.rank = 5;
        config.dropout = dropout;
        adapt(model, config);
        for (const auto& lengths : kBatches) {
          const Result plain = run(*model, lengths, false, Recompute::kNone);
          for (const Recompute level : kLevels) check_equal(run(*model, lengths, true, level), plain, 1e-6, 1e-5);
        }
      }
    }
  }
}

TEST_CASE("fused layers give the plain path's gradients in LoRA-FA and AdaLoRA") {
  const std::string method = GENERATE("lora_fa", "adalora");
  for (const double dropout : {0.0, 0.2}) {
    const auto model = random_model(kShapes[1], "float32");
    AdapterConfig config;
    config.method = method;
    config.target_modules = AllLinear{};
    config.rank = 5;
    config.dropout = dropout;
    adapt(model, config);
    const Result plain = run(*model, {20, 9}, false, Recompute::kNone);
    CHECK(plain.grads.size() == (method == "lora_fa" ? 14U : 42U));
    for (const Recompute level : kLevels) check_equal(run(*model, {20, 9}, true, level), plain, 1e-6, 1e-5);
  }
}

TEST_CASE("fused layers give the plain path's loss and gradients for DoRA, and for a start from the base's weights") {
  const auto [method, init, dropout] =
      GENERATE(table<std::string, std::string, double>({{"dora", "kaiming", 0.0},
                                                        {"lora", "pissa_niter_2", 0.0},
                                                        {"lora", "olora", 0.2},
                                                        {"dora", "kaiming", 0.2}}));  // plain layers in both runs
  for (const Shape& shape : {kShapes[1], kShapes[2]}) {
    for (const auto& targets :
         {ModulePatterns(AllLinear{}), ModulePatterns("(.*layers.0.*(q|o|up)_proj)|(.*down_proj)")}) {
      const auto model = random_model(shape, "float32");
      AdapterConfig config;
      config.method = method;
      config.init = init;
      config.dropout = dropout;
      config.target_modules = targets;
      config.rank = 5;
      adapt(model, config);
      for (const auto& lengths : kBatches) {
        const Result plain = run(*model, lengths, false, Recompute::kNone);
        for (const Recompute level : kLevels) check_equal(run(*model, lengths, true, level), plain, 1e-6, 1e-5);
      }
    }
  }
}

TEST_CASE("fused layers train whatever is adapted, and nothing else") {
  const auto targets = GENERATE(std::vector<std::string>{"q_proj"}, std::vector<std::string>{"v_proj", "down_proj"},
                                std::vector<std::string>{"gate_proj", "o_proj"});
  const auto model = random_model(kShapes[1], "float32");
  AdapterConfig config;
  config.target_modules = targets;
  config.rank = 3;
  config.rank_pattern = {{"layers.1.*", 6}};
  config.modules_to_save = {"post_attention_layernorm"};
  adapt(model, config);
  const Result plain = run(*model, {20, 9}, false, Recompute::kNone);
  for (const Recompute level : kLevels) check_equal(run(*model, {20, 9}, true, level), plain, 1e-6, 1e-5);
}

TEST_CASE("fused layers give the plain path's gradients of every weight in full fine-tuning") {
  for (const Shape& shape : {kShapes[1], kShapes[2]}) {
    const auto model = random_model(shape, "float32");
    AdapterConfig config;
    config.method = "full";
    adapt(model, config);
    const Result plain = run(*model, {20, 9}, false, Recompute::kNone);
    for (const Recompute level : kLevels) check_equal(run(*model, {20, 9}, true, level), plain, 1e-6, 1e-5);
  }
}

TEST_CASE("in bfloat16 fused layers are as near to float32 as the plain path is") {
  const std::string method = GENERATE("lora", "dora");
  for (const Shape& shape : kShapes) {
    AdapterConfig config;
    config.method = method;
    config.target_modules = AllLinear{};
    config.rank = 4;
    const auto half = random_model(shape, "bfloat16"), whole = random_model(shape, "float32");
    {
      const at::NoGradGuard no_grad;  // the same numbers on both sides
      for (at::Tensor& p : whole->parameters()) p.copy_(p.to(at::kBFloat16));
    }
    adapt(half, config);
    adapt(whole, config);
    const Result exact = run(*whole, {40, 25}, false, Recompute::kNone);
    const Result plain = run(*half, {40, 25}, false, Recompute::kNone);
    const Result fused = run(*half, {40, 25}, true, Recompute::kNone);
    CHECK(std::abs(fused.loss - exact.loss) <= 5e-3 * exact.loss);
    for (size_t i = 0; i < exact.grads.size(); ++i) {
      INFO(exact.grads[i].first);
      CHECK(relative(fused.grads[i].second, exact.grads[i].second) <=
            2 * relative(plain.grads[i].second, exact.grads[i].second) + 0.01);
    }
  }
}

TEST_CASE("fused results do not depend on how many threads compute them") {
  const auto model = random_model(kShapes[1], "float32");
  AdapterConfig config;
  config.target_modules = AllLinear{};
  adapt(model, config);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Result one = run(*model, {30, 50, 7}, true, Recompute::kNone);
  at::set_num_threads(2);
  const Result two = run(*model, {30, 50, 7}, true, Recompute::kNone);
  const Result again = run(*model, {30, 50, 7}, true, Recompute::kNone);
  at::set_num_threads(threads);
  check_equal(two, one, 1e-6, 1e-5);
  check_equal(again, two, 0, 0);
}
