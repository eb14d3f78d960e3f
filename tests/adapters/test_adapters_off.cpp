// A scope without the adapter: the bare base's bits inside it, and after it the same training as without it.

#include <ATen/ATen.h>

#include "lora/adapters/adapter_set.h"
#include "lora/adapters/inject.h"
#include "models/base/error.h"
#include "models/network/pretrained.h"
#include "tests/adapters/adapted_model.h"
#include "tests/catch.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

struct Case {
  std::string name, base;
  AdapterConfig config;
};

// Every method, and everything beside the adapted projections that an adapter may change.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& [name, config] : every_method()) {
    all.push_back({name, "default", config});
    all.push_back({name + " with dropout", "default", config});
    all.back().config.dropout = 0.5;
  }
  const auto add = [&](const std::string& name, const std::string& base,
                       const std::function<void(AdapterConfig&)>& set) {
    all.push_back({name, base, all_linear()});
    set(all.back().config);
  };
  const std::vector<std::string> queries = {"q_proj"};
  add("modules_to_save", "default", [](AdapterConfig& c) { c.modules_to_save = {"norm", "lm_head"}; });
  add("a module saved twice", "default", [&](AdapterConfig& c) {
    c.target_modules = queries;
    c.modules_to_save = {"mlp", "up_proj"};
  });
  add("biases", "biases", [](AdapterConfig& c) { c.bias = Bias::kAll; });
  add("a bias of B", "biases", [](AdapterConfig& c) { c.lora_bias = true; });
  add("rows", "tied", [](AdapterConfig& c) { c.trainable_token_indices = {3, 7}; });
  add("tied embedding", "tied", [](AdapterConfig& c) { c.target_modules = std::vector<std::string>{"embed_tokens"}; });
  add("parted embedding", "tied", [](AdapterConfig& c) {
    c.target_modules = std::vector<std::string>{"embed_tokens", "q_proj"};
    c.ensure_weight_tying = false;
  });
  add("parted head", "tied", [&](AdapterConfig& c) {
    c.target_modules = queries;
    c.modules_to_save = {"lm_head"};
    c.ensure_weight_tying = false;
  });
  add("adapted head", "tied", [](AdapterConfig& c) {
    c.target_modules = std::vector<std::string>{"lm_head"};
    c.ensure_weight_tying = false;
  });
  return all;
}

at::Tensor loss_of(LlamaForCausalLM& model, bool fused) {
  model.train();
  const at::Tensor ids = probe().flatten();
  return model.loss_sum({ids, {20, 20}}, (ids * 5 + 2).remainder(48), {.fused = fused});
}

std::vector<at::Tensor> gradients(LlamaForCausalLM& model) {
  std::vector<at::Tensor> all;
  for (const auto& [path, tensor, role] : trainable_parameters(model)) {
    REQUIRE(tensor.grad().defined());
    all.push_back(std::exchange(at::Tensor(tensor).mutable_grad(), at::Tensor()));
  }
  return all;
}

}  // namespace

TEST_CASE("with its adapter off a model is the bare base, and then it is the adapted one again") {
  for (const Case& one : cases()) {
    for (const char* dtype : {"float32", "bfloat16"}) {
      for (const bool fused : {true, false}) {
        INFO(one.name << ", " << dtype << (fused ? ", fused" : ", plain"));
        const auto bare = load_pretrained(golden_model(one.base), dtype);
        const auto model = load_pretrained(golden_model(one.base), dtype);
        const AdaptedModel adapted = inject(model, one.config, 1);
        randomise(*model, 2);
        const at::Tensor base = logits(*bare, {.fused = fused}), expected = logits(*model, {.fused = fused});
        const auto names = bare->named_parameters().keys();
        CHECK_FALSE(expected.equal(base));
        {
          const AdaptersOff off(adapted);
          CHECK(logits(*model, {.fused = fused}).equal(base));
          CHECK(trainable_parameters(*model).empty());
          CHECK(model->named_parameters().keys() == names);
          CHECK(model->has_tied_head() == bare->has_tied_head());
          const AdaptersOff again(adapted);
          CHECK(loss_of(*model, fused).equal(loss_of(*bare, fused)));
        }
        CHECK(logits(*model, {.fused = fused}).equal(expected));
      }
    }
  }
}

TEST_CASE("a scope without the adapter between forward and backward leaves the gradients as they are") {
  for (const Case& one : cases()) {
    for (const bool fused : {true, false}) {
      INFO(one.name << (fused ? ", fused" : ", plain"));
      const auto model = load_pretrained(golden_model(one.base), "bfloat16");
      const AdaptedModel adapted = inject(model, one.config, 1);
      randomise(*model, 2);
      const auto run = [&](bool with_scope) {
        at::manual_seed(99);  // of dropout
        at::Tensor loss = loss_of(*model, fused);
        if (with_scope) {
          const at::NoGradGuard no_grad;
          const AdaptersOff off(adapted);
          loss_of(*model, fused);
        }
        loss = loss + loss_of(*model, fused);  // of another dropout
        loss.backward();
        return gradients(*model);
      };
      const auto expected = run(false), found = run(true);
      REQUIRE(found.size() == expected.size());
      for (size_t i = 0; i < found.size(); ++i) CHECK(found[i].equal(expected[i]));
    }
  }
}

TEST_CASE("the base's and the adapter's weights stay where they are in memory") {
  const auto model = load_pretrained(golden_model("default"), "bfloat16");
  const void* base = model->model->norm->weight.const_data_ptr();
  AdapterConfig config = all_linear();
  config.modules_to_save = {"model.norm"};
  const AdaptedModel adapted = inject(model, config, 1);
  const void* own = model->model->norm->weight.const_data_ptr();
  model->model->norm->weight.mutable_grad() = at::ones({16});
  {
    const AdaptersOff off(adapted);
    CHECK(model->model->norm->weight.const_data_ptr() == base);
    CHECK_FALSE(model->model->norm->weight.grad().defined());
  }
  CHECK(model->model->norm->weight.const_data_ptr() == own);
  CHECK(model->model->norm->weight.grad().equal(at::ones({16})));
}

TEST_CASE("the active adapter of several can be off for a while") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  const at::Tensor base = logits(*model);
  AdapterSet set(model);
  set.add("a", all_linear(), 1);
  const AdaptedModel& b = set.add("b", all_linear(), 2);
  randomise(*model, 2);
  const at::Tensor expected = logits(*model);
  {
    const AdaptersOff off(b);
    CHECK(logits(*model).equal(base));
  }
  CHECK(logits(*model).equal(expected));
  set.activate("a");
  CHECK(logits(*model).equal(base));  // B is zero
}

TEST_CASE("a network that is trained itself has no adapter to switch off") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  AdapterConfig config;
  config.method = "full";
  const AdaptedModel adapted = inject(model, config, 1);
  CHECK_THROWS_WITH(AdaptersOff(adapted), Contains("method full"));
}

TEST_CASE("each trained parameter has the role that its layer gave it") {
  using enum ParameterRole;
  const auto roles = [](const std::string& base, const AdapterConfig& config) {
    const auto model = load_pretrained(golden_model(base), "float32");
    inject(model, config, 1);
    std::map<std::string, ParameterRole> found;
    for (const auto& [path, tensor, role] : trainable_parameters(*model)) {
      found.try_emplace(path.substr(path.rfind('.') + 1) == "weight" ? path : path.substr(path.rfind('.') + 1), role);
    }
    return found;
  };
  using Roles = std::map<std::string, ParameterRole>;
  AdapterConfig config = all_linear();
  CHECK((roles("default", config) == Roles{{"lora_A", kA}, {"lora_B", kB}}));
  config.method = "dora";
  CHECK((roles("default", config) == Roles{{"lora_A", kA}, {"lora_B", kB}, {"lora_magnitude_vector", kAdapter}}));
  config.method = "adalora";
  CHECK((roles("default", config) == Roles{{"lora_A", kA}, {"lora_B", kB}, {"lora_E", kAdapter}}));
  config.method = "lora_fa";
  CHECK((roles("default", config) == Roles{{"lora_B", kB}}));
  config.method = "rslora";  // another name of lora with use_rslora
  config.target_modules = std::vector<std::string>{"q_proj", "embed_tokens"};
  config.modules_to_save = {"lm_head", "model.norm"};
  CHECK((roles("default", config) == Roles{{"lora_A", kA},
                                           {"lora_B", kB},
                                           {"lora_embedding_A", kAdapter},
                                           {"lora_embedding_B", kAdapter},
                                           {"lm_head.weight", kHead},
                                           {"model.norm.weight", kBase}}));
  config = all_linear();
  config.trainable_token_indices = {3};
  CHECK((roles("tied", config)["trainable_tokens_delta"] == kRows));
}
