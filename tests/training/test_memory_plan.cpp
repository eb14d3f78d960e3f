// The memory plan: what it chooses under which limit, and that a run keeps to it.

#include "lora/training/memory_plan.h"

#include <fstream>

#include "lora/adapters/inject.h"
#include "models/base/error.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden_families.h"
#include "tests/paths.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

// Large enough for activations to matter beside the program itself.
struct Planned {
  Planned() {
    const TemporaryDirectory directory;
    std::ofstream(directory.path() / "config.json")
        << R"({"model_type": "llama", "vocab_size": 1000, "hidden_size": 256, "intermediate_size": 1024,
               "num_hidden_layers": 24, "num_attention_heads": 4, "num_key_value_heads": 2})";
    model = make_random(directory.path(), "float32", 1);
    AdapterConfig adapter;
    adapter.target_modules = AllLinear{};
    inject(model, adapter, 1);
    config.max_steps = 1;
    groups = make_parameter_groups(trainable_parameters(*model), config);
  }
  MemoryPlan plan() const {
    return plan_memory(*model, groups, config, {.longest = 100, .samples = 10, .tokens = 900, .distinct = 50},
                       {24LL << 30});
  }
  std::shared_ptr<LlamaForCausalLM> model;
  TrainingConfig config;
  std::vector<ParameterGroup> groups;
};

}  // namespace

TEST_CASE("a plan of a config.json alone releases the weights that its file would hold as they are") {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "config.json")
      << R"({"model_type": "llama", "vocab_size": 1000, "hidden_size": 1024, "intermediate_size": 4096,
             "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 8, "torch_dtype": "bfloat16"})";
  const auto weights = [&](const std::string& dtype, MemoryMode memory) {
    const auto model = make_meta(directory.path(), dtype);
    AdapterConfig adapter;
    adapter.target_modules = AllLinear{};
    inject(model, adapter, 1, /*fresh=*/false);
    TrainingConfig config;
    config.max_steps = 1;
    config.memory = memory;
    return plan_memory(*model, make_parameter_groups(trainable_parameters(*model), config), config,
                       {.longest = 100, .samples = 10, .tokens = 900, .distinct = 50}, {24LL << 30})
        .weights;
  };
  // A layer's projections at a time, of eight.
  constexpr int64_t kLayer = (4 * 1024 * 1024 + 3 * 1024 * 4096) * 2;
  CHECK(weights("bfloat16", MemoryMode::kFast) - weights("bfloat16", MemoryMode::kLow) >= 7 * kLayer);
  CHECK(weights("bfloat16", MemoryMode::kLow) < 2 * kLayer);
  // Converted weights are the process's own.
  CHECK(weights("float32", MemoryMode::kLow) == weights("float32", MemoryMode::kFast));
}

TEST_CASE("auto is fast where there is room, and gives up tokens, then work, step by step") {
  Planned p;
  const MemoryPlan fast = p.plan();
  CHECK(fast.execution.tokens == 512);
  CHECK(fast.execution.recompute == Recompute::kNone);
  std::vector<std::pair<int64_t, int>> choices;
  MemoryPlan plan = fast;
  while (true) {
    p.config.memory_limit = plan.total() - 1;
    try {
      plan = p.plan();
    } catch (const RecipeError&) {
      break;
    }
    CHECK(plan.total() <= *p.config.memory_limit);
    choices.emplace_back(plan.execution.tokens, static_cast<int>(plan.execution.recompute));
  }
  CHECK(choices == std::vector<std::pair<int64_t, int>>{{256, static_cast<int>(Recompute::kNone)},
                                                        {256, static_cast<int>(Recompute::kGateUp)},
                                                        {256, static_cast<int>(Recompute::kLayer)}});
}

TEST_CASE("weights of a file go before anything is given up, and losses and gradients keep their bits") {
  const auto model = load_pretrained(source_dir() / "recipes/quickstart/model", "float32");
  AdapterConfig adapter;
  adapter.target_modules = AllLinear{};
  inject(model, adapter, 1);
  TrainingConfig config;
  config.max_steps = 1;
  const auto groups = make_parameter_groups(trainable_parameters(*model), config);
  const auto plan = [&] { return plan_memory(*model, groups, config, {.longest = 100}, {24LL << 30}); };
  const MemoryPlan fast = plan();
  CHECK_FALSE(fast.execution.release_weights);
  config.memory_limit = fast.total() - 1;
  const MemoryPlan lean = plan();
  CHECK(lean.execution.release_weights);
  CHECK(lean.execution.tokens == fast.execution.tokens);
  CHECK(lean.execution.recompute == Recompute::kNone);
  // Of three layers of 4 · 128 · (128 + 64 + 64 + 128 + 3 · 256) bytes and a smaller head, one layer is held.
  CHECK(fast.weights - lean.weights == 2 * 4 * 128 * 1152 + 4 * 128 * 1024);

  const at::Tensor ids = at::arange(64), targets = (ids * 5 + 2).remainder(97);
  std::vector<at::Tensor> results[2];
  for (const bool release : {false, true}) {
    const at::Tensor loss = model->loss_sum({ids, {40, 24}}, targets, {.release_weights = release});
    loss.backward();
    results[release].push_back(loss.detach());
    for (const auto& [path, parameter] : groups[0].parameters) {
      results[release].push_back(parameter.grad().clone());
      parameter.mutable_grad().reset();
    }
  }
  REQUIRE(results[0].size() > 21);
  for (size_t i = 0; i < results[0].size(); ++i) CHECK(at::equal(results[0][i], results[1][i]));
}

TEST_CASE("a limit that cannot be kept is refused with what is needed") {
  Planned p;
  p.config.memory_limit = 100'000'000;
  CHECK_THROWS_WITH(p.plan(), Contains("training.memory_limit: this run needs") && Contains("more than 100 MB") &&
                                  Contains("the program and its data are the most"));
}

TEST_CASE("fast and low are taken at their word, and micro_batch_size fixes the tokens") {
  Planned p;
  p.config.memory = MemoryMode::kLow;
  CHECK(p.plan().execution.recompute == Recompute::kLayer);
  p.config.micro_batch_size = 2;
  p.config.max_length = 64;
  CHECK(p.plan().execution.tokens == 128);
  p.config.micro_batch_size.reset();
  p.config.memory = MemoryMode::kFast;
  CHECK(p.plan().execution.recompute == Recompute::kNone);
}

TEST_CASE("a longer sample than a pass has tokens is planned for") {
  Planned p;
  const int64_t short_samples = p.plan().activations;
  const MemoryPlan plan = plan_memory(*p.model, p.groups, p.config, {.longest = 2048}, {24LL << 30});
  CHECK(std::abs(plan.activations - 4 * short_samples) <= 4);
}

TEST_CASE("the state of a method counts") {
  Planned p;
  const auto plan = [&](int64_t method_bytes) {
    return plan_memory(*p.model, p.groups, p.config, {.longest = 100}, {24LL << 30}, method_bytes);
  };
  CHECK(plan(1000).optimizer == plan(0).optimizer + 1000);
  CHECK(plan(1000).total() == plan(0).total() + 1000);
}

TEST_CASE("plain layers are planned with the capped scores that they keep, fused ones without") {
  const auto activations = [](const std::string& name, int64_t longest, bool fused = true) {
    TrainingConfig config;
    config.fused = fused;
    config.max_steps = 1;
    const auto model = load_pretrained(golden_family(name), "float32");
    return plan_memory(*model, {}, config, {.longest = longest, .samples = 1, .tokens = longest, .distinct = 9},
                       {24LL << 30})
        .activations;
  };
  CHECK(activations("qwen3_window", 8) == activations("qwen3_window", 7));
  CHECK(activations("gemma2", 400) == activations("gemma2", 100));
  // Two float32 numbers of each of 4 heads, 3 layers and 512 tokens for every token that is seen, and the slack.
  const auto difference = static_cast<double>(activations("gemma2", 400, false) - activations("gemma2", 100, false));
  CHECK(difference == Approx(1.25 * 512 * 3 * 4 * 8 * 300).epsilon(1e-3));
}

TEST_CASE("on a GPU auto takes the longest passes that fit, then recomputes, and refuses one that is too small") {
  Planned p;
  p.config.batch_size = 64;
  p.config.max_length = 1024;
  const at::Device gpu(at::kCUDA, 0);
  const auto plan = [&](int64_t bytes) {
    return plan_memory(*p.model, p.groups, p.config, {.longest = 100, .samples = 10, .tokens = 900, .distinct = 50},
                       {bytes, gpu});
  };
  std::vector<std::pair<int64_t, int>> choices;
  MemoryPlan found = plan(int64_t{1} << 40);
  const MemoryPlan fast = found;
  for (bool fits = true; fits;) {
    choices.emplace_back(found.execution.tokens, static_cast<int>(found.execution.recompute));
    CHECK_FALSE(found.execution.release_weights);
    try {
      const int64_t less = found.total() - 1;
      found = plan(less);
      CHECK(found.total() <= less);
    } catch (const Error& error) {
      fits = false;
      CHECK(error.code() == ExitCode::kModel);
      CHECK_THAT(error.what(),
                 Contains("[memory] the GPU is too small: this run needs") && Contains("model.device: cpu"));
    }
  }
  const auto none = static_cast<int>(Recompute::kNone), layer = static_cast<int>(Recompute::kLayer);
  CHECK(choices == std::vector<std::pair<int64_t, int>>{{8192, none},
                                                        {4096, none},
                                                        {2048, none},
                                                        {1024, none},
                                                        {1024, static_cast<int>(Recompute::kGateUp)},
                                                        {1024, layer},
                                                        {512, layer}});
  p.config.memory_limit = fast.total() - 1;
  CHECK(plan(int64_t{1} << 40).execution.tokens == 4096);
  p.config.memory_limit = 1'000'000;
  CHECK_THROWS_WITH(plan(int64_t{1} << 40), Contains("training.memory_limit: this run needs"));
  // A step of few tokens is one pass of these.
  p.config.memory_limit.reset();
  p.config.batch_size = 1;
  CHECK(plan(int64_t{1} << 40).execution.tokens == 1024);
}

TEST_CASE("on a GPU the layers are fetched where no plan fits with them there, in the longest passes that fit") {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "config.json")
      << R"({"model_type": "llama", "vocab_size": 1000, "hidden_size": 1024, "intermediate_size": 4096,
             "num_hidden_layers": 64, "num_attention_heads": 8, "num_key_value_heads": 8, "torch_dtype": "bfloat16"})";
  constexpr int64_t kLayer = (4 * 1024 * 1024 + 3 * 1024 * 4096) * 2;
  TrainingConfig config;
  config.max_steps = 1;
  config.batch_size = 64;
  config.max_length = 1024;
  const auto plan = [&](int64_t bytes, LayerWeights layers, const std::string& method = "lora") {
    const auto model = make_meta(directory.path(), "bfloat16");
    AdapterConfig adapter;
    adapter.method = method;
    if (method != "full") adapter.target_modules = AllLinear{};
    inject(model, adapter, 1, /*fresh=*/false);
    CHECK(can_fetch_layers(*model) == (method != "full"));
    return plan_memory(*model, make_parameter_groups(trainable_parameters(*model), config), config,
                       {.longest = 100, .samples = 10, .tokens = 900, .distinct = 50},
                       {bytes, at::Device(at::kCUDA, 0), layers});
  };
  constexpr int64_t kMuch = int64_t{1} << 40;
  const MemoryPlan all = plan(kMuch, LayerWeights::kEither);
  CHECK(all.fetched == 0);
  std::vector<int64_t> tokens;
  MemoryPlan found = all;
  for (bool fits = true; fits;) {
    try {
      found = plan(found.total() - 1, LayerWeights::kEither);
      if (found.fetched == 0) continue;
      tokens.push_back(found.execution.tokens);
      CHECK(found.execution.recompute == Recompute::kLayer);
      CHECK(found.fetched == 64 * kLayer);
      CHECK(all.weights - found.weights == 62 * kLayer);
    } catch (const Error& error) {
      fits = false;
      CHECK(error.code() == ExitCode::kModel);
      CHECK_THAT(error.what(), Contains("[memory] the GPU is too small: this run needs") &&
                                   Contains("also with its layers in the host's memory; "));
    }
  }
  // The activations of 8,192 tokens are more than the layers, beside which 512 fit.
  CHECK(tokens == std::vector<int64_t>{4096, 2048, 1024, 512});

  // Between what fits with fetched layers and without.
  const int64_t little = found.total() + kLayer;
  config.memory = MemoryMode::kLow;
  CHECK(plan(kMuch, LayerWeights::kEither).fetched == 0);
  CHECK(plan(little, LayerWeights::kEither).fetched > 0);
  CHECK(plan(kMuch, LayerWeights::kFetched).fetched > 0);
  CHECK_THROWS_WITH(plan(little, LayerWeights::kOnDevice), Contains("the GPU is too small"));
  CHECK_THROWS_WITH(plan(little, LayerWeights::kEither, "full"), Contains("the GPU is too small"));
  config.memory = MemoryMode::kFast;
  CHECK_THROWS_WITH(plan(little, LayerWeights::kEither), Contains("training.memory auto or low"));
  config.memory = MemoryMode::kAuto;
  config.micro_batch_size = 1;
  CHECK(plan(kMuch, LayerWeights::kEither).fetched == 0);
  const MemoryPlan rows = plan(2 * little, LayerWeights::kEither);
  CHECK(rows.fetched > 0);
  CHECK(rows.execution.tokens == 1024);
}
