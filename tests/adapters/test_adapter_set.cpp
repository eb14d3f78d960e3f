// Several adapters over one base: switching gives each one's bits, and holds the base once.

#include "lora/adapters/adapter_set.h"

#include <ATen/ATen.h>

#include "models/base/error.h"
#include "models/network/pretrained.h"
#include "tests/adapters/adapted_model.h"
#include "tests/catch.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

struct Kind {
  const char* name;
  AdapterConfig config;
  uint64_t seed;
};

std::vector<Kind> kinds() {
  AdapterConfig a = all_linear();
  AdapterConfig b = all_linear();
  b.rank = 2;
  b.alpha = 3;
  b.target_modules = std::vector<std::string>{"v_proj", "down_proj"};
  b.modules_to_save = {"model.norm", "embed_tokens"};
  AdapterConfig c = all_linear();
  c.target_modules = std::vector<std::string>{"q_proj"};
  c.modules_to_save = {"lm_head", "post_attention_layernorm"};
  return {{"a", a, 1}, {"b", b, 2}, {"c", c, 3}};
}

}  // namespace

TEST_CASE("switching gives each adapter's bits, however often, and none gives the base's") {
  for (const char* dtype : {"float32", "bfloat16"}) {
    const at::Tensor base = logits(*load_pretrained(golden_model("default"), dtype));
    std::vector<at::Tensor> alone;
    for (const Kind& kind : kinds()) {
      const auto model = load_pretrained(golden_model("default"), dtype);
      inject(model, kind.config, kind.seed);
      randomise(*model, kind.seed);
      alone.push_back(logits(*model));
    }
    const auto model = load_pretrained(golden_model("default"), dtype);
    AdapterSet set(model);
    for (const Kind& kind : kinds()) {
      set.add(kind.name, kind.config, kind.seed);
      CHECK(set.active() == kind.name);
      randomise(*model, kind.seed);
    }
    CHECK(set.names() == std::vector<std::string>{"a", "b", "c"});
    for (const size_t i : {0, 1, 0, 2, 1, 2, 0}) {
      set.activate(kinds()[i].name);
      CHECK(logits(*model).equal(alone[i]));
    }
    set.deactivate();
    CHECK(set.active().empty());
    CHECK(logits(*model).equal(base));
    CHECK(trainable_parameters(*model).empty());
  }
}

TEST_CASE("adapters of every method stand beside one another") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  const at::Tensor base = logits(*model);
  AdapterSet set(model);
  std::map<std::string, at::Tensor> alone;
  for (const auto& [name, config] : every_method()) {
    const auto single = load_pretrained(golden_model("default"), "float32");
    inject(single, config, 1);
    randomise(*single, 2);
    alone[name] = logits(*single);
    CHECK_FALSE(alone[name].equal(base));
    set.add(name, config, 1);
    randomise(*model, 2);
  }
  for (const auto& [name, wanted] : alone) {
    CAPTURE(name);
    set.activate(name);
    CHECK(logits(*model).equal(wanted));
  }
  set.deactivate();
  CHECK(logits(*model).equal(base));
}

TEST_CASE("only the active adapter's parameters are trained ones, and gradients stay with their adapter") {
  const auto model = load_pretrained(golden_model("default"), "bfloat16");
  AdapterSet set(model);
  std::vector<size_t> counts;
  for (const Kind& kind : kinds()) {
    set.add(kind.name, kind.config, kind.seed);
    counts.push_back(trainable_parameters(*model).size());
  }
  CHECK(counts == std::vector<size_t>{28, 8 + 2, 4 + 3});
  set.activate("b");
  model->model->norm->weight.mutable_grad() = at::ones({16});
  set.activate("c");
  CHECK_FALSE(model->model->norm->weight.grad().defined());
  CHECK(model->model->norm->weight.scalar_type() == at::kBFloat16);
  set.activate("b");
  CHECK(model->model->norm->weight.grad().equal(at::ones({16})));
  CHECK(trainable_parameters(*model).size() == counts[1]);
}

TEST_CASE("the base is held once") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  const void* weight = model->model->layers[0]->self_attn->qkv[0]->weight_matrix().const_data_ptr();
  AdapterSet set(model);
  for (const Kind& kind : kinds()) {
    const AdaptedModel& adapted = set.add(kind.name, kind.config, kind.seed);
    for (const AdaptedModule& module : adapted.modules) {
      if (module.path != "model.layers.0.self_attn.q_proj") continue;
      CHECK(module.layer->weight_matrix().const_data_ptr() == weight);
    }
  }
}

TEST_CASE("an adapter takes on the model's mode when it comes back") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  AdapterSet set(model);
  AdapterConfig config = all_linear();
  config.dropout = 0.5;
  set.add("a", config, 1);
  randomise(*model, 1);
  const at::Tensor wanted = logits(*model);
  model->train();
  set.add("b", config, 2);
  model->eval();
  set.activate("a");
  CHECK(model->forward(probe()).equal(wanted));
}

TEST_CASE("what cannot be added or activated is refused, and leaves the base as it was") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  const at::Tensor base = logits(*model);
  AdapterSet set(model);
  CHECK_THROWS_WITH(set.activate("a"), Contains("'a'") && Contains("none was loaded"));
  set.add("french", all_linear(), 1);
  CHECK_THROWS_WITH(set.add("french", all_linear(), 1), Contains("'french' already"));
  CHECK_THROWS_WITH(set.activate("frnch"), Contains("did you mean 'french'") && Contains("loaded: french"));
  CHECK(set.active() == "french");
  for (const char* name : {"", "a/b", "..", ".x", "none", "a b", "é"}) {
    CHECK_THROWS_WITH(set.add(name, all_linear(), 1), Contains("cannot name an adapter"));
  }
  AdapterConfig config = all_linear();
  config.method = "full";
  CHECK_THROWS_WITH(set.add("b", config, 1), Contains("full"));
  config = all_linear();
  config.modules_to_save = {"norm"};
  config.init_from = "/no/such/adapter";
  CHECK_THROWS_AS(set.add("b", config, 1), ModelError);
  CHECK(set.active().empty());
  CHECK(set.names() == std::vector<std::string>{"french"});
  CHECK(logits(*model).equal(base));
  CHECK(trainable_parameters(*model).empty());
}
