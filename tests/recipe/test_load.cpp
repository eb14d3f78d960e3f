#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

const char* const kEveryContractKey = R"(
model:
  path: path/to/hf-directory     # config.json, *.safetensors, tokenizer
  dtype: bfloat16
  quantization: none
  device: cuda:1
  head: none
  init: random
adapter:
  method: lora
  rank: 16
  alpha: 32
  dropout: 0.05
  target_modules: [q_proj, self_attn.v_proj]
  exclude_modules: [layers.0.self_attn.q_proj]
  layers_to_transform: [1, 2]
  rank_pattern: {v_proj: 4, "layers\\.1\\..*": 2}
  alpha_pattern: {v_proj: 8, q_proj: 1.5}
  modules_to_save: [lm_head]
  init: gaussian
  init_from: null
data:
  train: [{path: train.jsonl, format: alpaca, weight: 1.0}, {path: b.json, format: text, fields: {text: body}}]
  validation:
    - path: valid.jsonl
      format: completion
      fields: {prompt: question, completion: answer}
  shuffle: false
training:
  seed: 18446744073709551615
  epochs: 1.5
  batch_size: 8
  micro_batch_size: 2
  max_length: 1024
  packing: false
  optimizer: adamw
  learning_rate: 2e-4
  learning_rates: {lm_head: 1.0e-3, adapter: 0.5, a.b: 1}
  lr_schedule: linear
  warmup_steps: 10
  min_lr_ratio: 0.1
  adam_beta1: 0.8
  adam_beta2: 0.95
  adam_epsilon: 1e-6
  weight_decay: 0.01
  max_grad_norm: 0
  eval_every: 50
  checkpoint_every: 25
  checkpoint_keep: 3
  keep_best: true
  early_stopping_patience: 4
  memory: low
  memory_limit: 1.5 GiB
  fused: false
  threads: 2
evaluation:
  exact_match: 100
  show: 5
  max_new_tokens: 16
output_dir: runs/example
export: [peft, torchscript, huggingface]
)";

TEST_CASE("every key of the contract reaches its member") {
  const Recipe recipe = load_text(kEveryContractKey);
  ModelSection model{"path/to/hf-directory", "bfloat16", "none", true, Head::kNone, ModelInit::kRandom};
  model.device = "cuda:1";
  CHECK(recipe.model == model);

  const AdapterConfig& adapter = recipe.adapter;
  CHECK(adapter.method == "lora");
  CHECK(adapter.rank == 16);
  CHECK(adapter.alpha == 32.0);
  CHECK(adapter.dropout == 0.05);
  CHECK(adapter.target_modules == ModulePatterns(std::vector<std::string>{"q_proj", "self_attn.v_proj"}));
  CHECK(adapter.exclude_modules == ModulePatterns(std::vector<std::string>{"layers.0.self_attn.q_proj"}));
  CHECK(adapter.layers_to_transform == std::vector<int64_t>{1, 2});
  CHECK(adapter.rank_pattern == std::vector<std::pair<std::string, int64_t>>{{"v_proj", 4}, {"layers\\.1\\..*", 2}});
  CHECK(adapter.alpha_pattern == std::vector<std::pair<std::string, double>>{{"v_proj", 8.0}, {"q_proj", 1.5}});
  CHECK(adapter.modules_to_save == std::vector<std::string>{"lm_head"});
  CHECK(adapter.init == "gaussian");
  CHECK(adapter.init_from.empty());

  REQUIRE(recipe.data.train.size() == 2);
  CHECK(recipe.data.train[0] == DataSource{"train.jsonl", "alpaca", 1.0, {}});
  CHECK(recipe.data.train[1] == DataSource{"b.json", "text", 1.0, {{"text", "body"}}});
  REQUIRE(recipe.data.validation.size() == 1);
  CHECK(recipe.data.validation[0].fields ==
        std::map<std::string, std::string>{{"prompt", "question"}, {"completion", "answer"}});
  CHECK_FALSE(recipe.data.shuffle);

  const TrainingConfig& training = recipe.training;
  CHECK(training.seed == UINT64_MAX);
  CHECK_FALSE(training.max_steps);
  CHECK(training.epochs == 1.5);
  CHECK(training.batch_size == 8);
  CHECK(training.micro_batch_size == 2);
  CHECK(training.max_length == 1024);
  CHECK_FALSE(training.packing);
  CHECK(training.optimizer == "adamw");
  CHECK(training.learning_rate == 2e-4);
  CHECK(training.learning_rates ==
        std::vector<std::pair<std::string, double>>{{"lm_head", 1e-3}, {"adapter", 0.5}, {"a.b", 1.0}});
  CHECK(training.lr_schedule == "linear");
  CHECK(training.warmup_steps == 10);
  CHECK(training.min_lr_ratio == 0.1);
  CHECK(training.adam_beta1 == 0.8);
  CHECK(training.adam_beta2 == 0.95);
  CHECK(training.adam_epsilon == 1e-6);
  CHECK(training.weight_decay == 0.01);
  CHECK(training.max_grad_norm == 0.0);
  CHECK(training.eval_every == 50);
  CHECK(training.checkpoint_every == 25);
  CHECK(training.checkpoint_keep == 3);
  CHECK(training.keep_best);
  CHECK(training.early_stopping_patience == 4);
  CHECK(training.threads == 2);

  CHECK(recipe.evaluation == EvaluationConfig{100, 5, 16});
  CHECK(recipe.output_dir == "runs/example");
  CHECK(recipe.exports == std::vector<std::string>{"peft", "torchscript", "huggingface"});
}

TEST_CASE("distributed.timeout is a time with or without a unit") {
  const auto timeout = [](const std::string& text) {
    return load_text(std::string(kMinimal) + "\n", {"distributed.timeout=" + text}).distributed.timeout;
  };
  CHECK(load_text(kMinimal).distributed.timeout == 600);
  CHECK(timeout("90") == 90);
  CHECK(timeout("90s") == 90);
  CHECK(timeout("1.5 m") == 90);
  CHECK(timeout("2h") == 7200);
  for (const char* wrong : {"0", "0.5s", "-1m", "soon", "10 minutes", "1d", "010", "[1]"}) {
    CAPTURE(wrong);
    CHECK_THROWS_WITH(timeout(wrong), Catch::Matchers::Contains("distributed.timeout") &&
                                          Catch::Matchers::Contains("such as 90, 90s, 10m or 1h"));
  }
  CHECK_THROWS_WITH(load_text(kMinimal, {"distributed.by=rows"}), Catch::Matchers::Contains("distributed.by"));
}

TEST_CASE("memory_limit is a number of bytes with or without a unit") {
  const auto limit = [](const std::string& text) {
    return load_text(std::string(kMinimal) + "\n", {"training.memory_limit=" + text}).training.memory_limit;
  };
  CHECK(limit("800000000") == 800000000);
  CHECK(limit("2GiB") == int64_t{2} << 30);
  CHECK(limit("1.5 GB") == 1500000000);
  CHECK(limit("null") == std::nullopt);
  for (const char* bad : {"2 gigs", "-1GB", "0", "GiB", "nan", "1e30", "[1]", "\"\""}) {
    INFO(bad);
    CHECK_THROWS_AS(limit(bad), RecipeError);
  }
}

TEST_CASE("a key that is left out keeps the struct's default") {
  Recipe expected;
  expected.model.path = "models/tiny";
  expected.adapter.target_modules = std::vector<std::string>{"q_proj", "v_proj"};
  expected.data.train = {{"train.jsonl", "completion", 1.0, {}}};
  expected.training.max_steps = 200;
  expected.output_dir = "runs/example";
  CHECK(load_text(kMinimal) == expected);
}

TEST_CASE("an empty section, list or map is as good as none") {
  CHECK(load_text(kMinimal + "evaluation:\n  # show: 3\nexport:\n") == load_text(kMinimal));
  CHECK(load_text(with_line(4, "  target_modules: [q_proj, v_proj]\n  rank_pattern:\n  exclude_modules: ~")) ==
        load_text(kMinimal));
}

TEST_CASE("target_modules is a list, a regular expression or all-linear") {
  const auto targets = [](const std::string& text) {
    return load_text(with_line(4, "  target_modules: " + text)).adapter.target_modules;
  };
  CHECK(targets("all-linear") == ModulePatterns(AllLinear{}));
  CHECK(targets("'.*\\.(q|v)_proj'") == ModulePatterns(std::string(".*\\.(q|v)_proj")));
  CHECK(targets(".*_proj") == ModulePatterns(std::string(".*_proj")));
  CHECK(targets("\n    - q_proj\n    - mlp.up_proj") ==
        ModulePatterns(std::vector<std::string>{"q_proj", "mlp.up_proj"}));
}

TEST_CASE("method rslora is lora with use_rslora") {
  for (const char* text : {"  target_modules: [q_proj]\n  method: rslora",
                           "  target_modules: [q_proj]\n  method: lora\n  use_rslora: true"}) {
    const AdapterConfig adapter = load_text(with_line(4, text)).adapter;
    CHECK(adapter.method == "lora");
    CHECK(adapter.use_rslora);
  }
}

TEST_CASE("method full needs no target_modules") {
  CHECK(load_text(with_line(4, "  method: full")).adapter.method == "full");
}

TEST_CASE("yes, no, on and none are ordinary words") {
  CHECK(load_text(with_line(2, "  path: yes")).model.path == "yes");
  CHECK(load_text(with_line(10, "output_dir: none")).output_dir == "none");
}

TEST_CASE("windows line ends, a byte order mark, a document marker and text beyond ASCII are read") {
  std::string windows = "\xEF\xBB\xBF---\n" + with_line(2, "  path: modèles/模型");
  for (size_t at = 0; (at = windows.find('\n', at)) != std::string::npos; at += 2) windows.replace(at, 1, "\r\n");
  CHECK(load_text(windows).model.path == "modèles/模型");
}

TEST_CASE("integers and numbers are read in every form that YAML 1.2 has for them") {
  CHECK(load_text(with_line(9, "  max_steps: +7")).training.max_steps == 7);
  const auto rate = [](const std::string& text) {
    return load_text(with_line(9, "  max_steps: 1\n  learning_rate: " + text)).training.learning_rate;
  };
  CHECK(rate("2e-4") == 2e-4);
  CHECK(rate("2E-4") == 2e-4);
  CHECK(rate("2.0e-04") == 2e-4);
  CHECK(rate("+.5") == 0.5);
  CHECK(rate("1.") == 1.0);
  CHECK(rate("1") == 1.0);
}

}  // namespace
}  // namespace lora::test
