// Models on quantized bases: the loss and the gradients of the same dense weights, whatever adapter stands on them, and
// what may not be trained.

#include <ATen/ATen.h>
#include <torch/types.h>

#include <fstream>

#include "lora/adapters/inject.h"
#include "lora/quantization/nf4.h"
#include "lora/quantization/quantizer.h"
#include "models/base/error.h"
#include "models/engine/operations.h"
#include "models/io/safetensors.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

// Sizes that no block divides.
std::shared_ptr<LlamaForCausalLM> random_model(const std::string& dtype, const Quantizer& quantizer) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "config.json") << json{
      {"model_type", "llama"},     {"vocab_size", 97},         {"hidden_size", 60},        {"intermediate_size", 92},
      {"num_hidden_layers", 2},    {"num_attention_heads", 3}, {"num_key_value_heads", 1}, {"head_dim", 20},
      {"initializer_range", 0.08}, {"attention_bias", true},   {"rms_norm_eps", 1e-5}};
  return make_random(directory.path(), dtype, 3, {}, quantizer);
}

// The same values in a dense weight.
Quantizer dequantized(const Quantizer& quantizer) {
  return
      [quantizer](const std::string& path, const at::Tensor& weight, const at::Tensor& bias, const ModelForm& model) {
        return std::make_shared<DenseLinear>(quantizer(path, weight, bias, model)->weight_matrix(), bias);
      };
}

void adapt(const std::shared_ptr<LlamaForCausalLM>& model, double dropout, const std::string& method = "lora",
           const std::string& init = "kaiming") {
  AdapterConfig config;
  config.method = method;
  config.init = init;
  config.target_modules = std::vector<std::string>{"q_proj", "v_proj", "up_proj", "down_proj"};
  config.rank = 5;
  config.dropout = dropout;
  inject(model, config, 11);
  const at::NoGradGuard no_grad;
  at::manual_seed(7);
  for (const auto& [name, p, role] : trainable_parameters(*model)) {
    if (name.ends_with("lora_B")) at::Tensor(p).normal_(0.0, 0.1);
  }
}

std::vector<at::Tensor> loss_and_gradients(LlamaForCausalLM& model, bool fused, Recompute level) {
  const at::Tensor ids = (at::arange(70, at::kLong) * 31 + 7).remainder(97);
  model.train();
  at::manual_seed(99);  // of dropout
  for (const auto& [name, p, role] : trainable_parameters(model)) at::Tensor(p).mutable_grad() = at::Tensor();
  const at::Tensor loss =
      model.loss_sum({ids, {41, 1, 28}}, (ids * 5 + 2).remainder(97), {.fused = fused, .recompute = level});
  loss.backward();
  std::vector<at::Tensor> all = {loss.detach()};
  for (const auto& [name, p, role] : trainable_parameters(model)) all.push_back(p.grad().clone());
  return all;
}

}  // namespace

TEST_CASE("a quantized base gives the very loss and gradients of its dense values, plain and fused") {
  for (const char* encoding : {"nf4", "int8"}) {
    for (const char* dtype : {"float32", "bfloat16"}) {
      DYNAMIC_SECTION(encoding << " in " << dtype) {
        const Quantizer quantizer = make_quantizer({encoding});
        const auto packed = random_model(dtype, quantizer), dense = random_model(dtype, dequantized(quantizer));
        REQUIRE(quantized_modules(*packed).size() == 14);
        REQUIRE(quantized_modules(*dense).empty());
        adapt(packed, 0.1);
        adapt(dense, 0.1);
        // Where kernels take the product, dx is rounded after each packed weight, and once after all dense ones.
        const bool rounds = operations_for(at::kCPU, packed->dtype())->takes_product(packed->dtype(), 96, {60, 60});
        for (const bool fused : {false, true}) {
          const double bound = fused && rounds ? 1e-2 : 0;
          for (const Recompute level : {Recompute::kNone, Recompute::kGateUp, Recompute::kLayer}) {
            const auto found = loss_and_gradients(*packed, fused, level);
            const auto wanted = loss_and_gradients(*dense, fused, level);
            REQUIRE(found.size() == wanted.size());
            CHECK(found[0].equal(wanted[0]));
            for (size_t i = 1; i < found.size(); ++i) CHECK(relative(found[i], wanted[i]) <= bound);
          }
        }
      }
    }
  }
}

TEST_CASE("DoRA and the starts from the base's weights do the same on a quantized base as on its dense values") {
  const auto [method, init] =
      GENERATE(table<std::string, std::string>({{"dora", "kaiming"}, {"lora", "pissa"}, {"lora", "olora"}}));
  const Quantizer quantizer = make_quantizer({"nf4"});
  const auto packed = random_model("float32", quantizer), dense = random_model("float32", dequantized(quantizer));
  adapt(packed, 0, method, init);
  adapt(dense, 0, method, init);
  for (const bool fused : {false, true}) {
    const auto found = loss_and_gradients(*packed, fused, Recompute::kNone);
    const auto wanted = loss_and_gradients(*dense, fused, Recompute::kNone);
    REQUIRE(found.size() == wanted.size());
    for (size_t i = 0; i < found.size(); ++i) CHECK(found[i].equal(wanted[i]));
  }
}

TEST_CASE("what is quantized: the projections of the layers, and nothing else") {
  const auto model = random_model("float32", make_quantizer({"nf4"}));
  AdapterConfig config;
  config.target_modules = AllLinear{};
  config.modules_to_save = {"lm_head", "norm"};
  const AdaptedModel adapted = inject(model, config, 1);
  const auto plain = random_model("float32", {});
  int64_t parameters = 0;
  for (const at::Tensor& p : plain->parameters()) parameters += p.numel();
  for (const AdaptedModule& module : adapted.modules) {
    for (const auto& [name, tensor] : module.layer->peft_tensors()) parameters += tensor.numel();
  }
  CHECK(adapted.total_parameters == parameters);
  for (const QuantizedModule& module : quantized_modules(*model)) {
    CHECK(module.path.ends_with("_proj"));
    const double error = module.layer->quantized_weight().relative_error();
    CHECK(error > 0.05);
    CHECK(error < 0.12);
  }
}

TEST_CASE("training a quantized weight itself is refused") {
  const auto model = random_model("float32", make_quantizer({"int8"}));
  AdapterConfig config;
  config.method = "full";
  CHECK_THROWS_WITH(inject(model, config, 1), Contains("method full") && Contains("is quantized"));
  config.method = "lora";
  config.target_modules = std::vector<std::string>{"q_proj"};
  config.modules_to_save = {"up_proj"};
  CHECK_THROWS_WITH(inject(model, config, 1), Contains("modules_to_save: 'model.layers.0.mlp.up_proj' is quantized") &&
                                                  Contains("quantization: none"));
}

TEST_CASE("a model is quantized as it is read, from the values of its file") {
  const auto dense = load_pretrained(golden_model("default"), "float32");
  const auto packed = load_pretrained(golden_model("default"), "bfloat16", {}, make_quantizer({"nf4"}));
  const Nf4Weight wanted(dense->model->layers[1]->mlp->gate_up[1]->weight_matrix(), at::kBFloat16, true);
  at::Tensor values = at::empty({wanted.out_features(), wanted.in_features()}, at::kBFloat16);
  wanted.unpack(values);
  CHECK(packed->model->layers[1]->mlp->gate_up[1]->weight_matrix().equal(values));
  CHECK(packed->lm_head->weight_matrix().equal(dense->lm_head->weight_matrix().to(at::kBFloat16)));
}

TEST_CASE("a weight that is not finite is refused by name") {
  const TemporaryDirectory directory;
  NamedTensors tensors;
  const SafetensorsFile file(golden_model("default") / "model.safetensors");
  for (const auto& [name, entry] : file.entries()) tensors.emplace_back(name, file.tensor(name).clone());
  for (auto& [name, tensor] : tensors) {
    if (name == "model.layers.1.self_attn.o_proj.weight") tensor[2][3] = INFINITY;
  }
  write_safetensors(directory / "model.safetensors", tensors);
  std::filesystem::copy_file(golden_model("default") / "config.json", directory / "config.json");
  for (const char* encoding : {"nf4", "int8"}) {
    CHECK_THROWS_WITH(load_pretrained(directory.path(), "auto", {}, make_quantizer({encoding})),
                      Contains("'model.layers.1.self_attn.o_proj.weight'") && Contains("not a number"));
  }
}

TEST_CASE("on the meta device a model has its bytes and no memory") {
  const auto real = load_pretrained(golden_model("default"), "bfloat16", {}, make_quantizer({"nf4"}));
  const auto meta = make_meta(golden_model("default"), "bfloat16", {}, make_quantizer({"nf4"}));
  const auto bytes = [](const LlamaForCausalLM& model) {
    int64_t sum = 0;
    for (const QuantizedModule& module : quantized_modules(model)) sum += module.layer->quantized_weight().bytes();
    for (const at::Tensor& p : model.parameters()) sum += static_cast<int64_t>(p.nbytes());
    return sum;
  };
  CHECK(bytes(*meta) == bytes(*real));
}
