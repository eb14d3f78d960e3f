#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "lora/adapters/initialise.h"
#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

// Valid recipes at random, with the values that are hard to write down.
class RandomRecipes {
 public:
  explicit RandomRecipes(uint32_t seed) : random_(seed) {}

  Recipe next() {
    Recipe recipe;
    recipe.model = {path(),
                    pick<std::string>({"auto", "float32", "bfloat16"}),
                    pick<std::string>({"none", "int8", "nf4"}),
                    coin(),
                    Head::kNone,
                    pick<ModelInit>({ModelInit::kPretrained, ModelInit::kRandom})};
    recipe.model.device = pick<std::string>({"auto", "cpu", "cuda", "cuda:0", "cuda:12"});
    AdapterConfig& adapter = recipe.adapter;
    adapter.rank = integer(1);
    adapter.alpha = positive();
    adapter.use_rslora = coin();
    adapter.dropout = share();
    adapter.target_modules = patterns();
    if (coin()) adapter.target_modules = AllLinear{};
    if (coin()) adapter.exclude_modules = patterns();
    if (std::holds_alternative<std::vector<std::string>>(adapter.target_modules) && coin()) {
      adapter.layers_to_transform = {integer(0), integer(0)};
    }
    adapter.rank_pattern = {{"b" + text(), integer(1)}, {"a" + text(), integer(1)}};
    adapter.alpha_pattern = {{"b" + text(), positive()}, {"a" + text(), positive()}};
    adapter.modules_to_save = {text(), text()};
    adapter.init = pick<std::string>({"kaiming", "gaussian", "pissa", "pissa_niter_16", "olora"});
    if (coin() && !starts_from_base(adapter)) adapter.init_from = path();
    if (adapter.rank > 1 && coin()) {
      adapter.method = "adalora";
      adapter.use_rslora = false;
      adapter.rank_pattern.clear();
      adapter.alpha_pattern.clear();
      adapter.init = "kaiming";
      adapter.adalora = {.target_r = 1,
                         .tinit = integer(0),
                         .tfinal = integer(0),
                         .delta_t = integer(1),
                         .beta1 = 0.5,
                         .beta2 = 1.0 / 3.0,
                         .orth_reg_weight = positive()};
    }
    recipe.data.train = {source(), source()};
    recipe.data.validation = {source()};
    if (coin()) {
      recipe.data.validation.clear();
      recipe.data.validation_split = 1.0 / 3.0;
    }
    recipe.data.shuffle = coin();
    recipe.data.on_error = pick<OnError>({OnError::kFail, OnError::kSkip});
    recipe.data.max_errors = integer(0);
    recipe.data.cache_dir = coin() ? path() : "";
    recipe.data.allow_special_tokens = coin();
    recipe.data.chat_template =
        pick<std::string>({"auto", "model", "chatml", "a/b c.jinja", "{{ messages }}\n{# ' #}"});
    recipe.data.train_on = pick<TrainOn>({TrainOn::kAssistant, TrainOn::kAll, TrainOn::kLastTurn});
    recipe.data.overlong = pick<Overlong>({Overlong::kTruncate, Overlong::kDrop, Overlong::kSplit});
    cleaning(recipe.data.cleaning);
    using enum MixingStrategy;
    recipe.data.mixing.strategy = pick<MixingStrategy>({kConcatenate, kWeights, kTemperature});
    if (recipe.data.mixing.strategy == kConcatenate) {
      recipe.data.train[0].epochs = positive();
    } else {
      recipe.data.train[0].weight = positive();
      recipe.data.mixing.by = coin() ? MixingUnit::kSamples : MixingUnit::kTokens;
    }
    if (recipe.data.mixing.strategy == kTemperature) recipe.data.mixing.temperature = positive();
    training(recipe.training);
    if (coin() && recipe.training.max_steps && recipe.data.mixing.strategy == kConcatenate) stream(recipe.data);
    recipe.evaluation = {integer(0), integer(0), integer(1)};
    if (coin()) {
      recipe.model.head = Head::kSequenceClassification;
      recipe.data.trains = Trains::kLabel;
      recipe.evaluation.exact_match = 0;
      for (auto* list : {&recipe.data.train, &recipe.data.validation}) {
        for (DataSource& one : *list)
          one = {path(), "classification", one.weight, {{"label", text()}}, "", {}, one.epochs};
      }
    }
    recipe.output_dir = path();
    recipe.exports =
        coin() ? std::vector<std::string>{} : std::vector<std::string>{"peft", "huggingface", "torchscript"};
    return recipe;
  }

 private:
  template <typename T>
  T pick(const std::vector<T>& values) {
    return values[random_() % values.size()];
  }
  bool coin() { return random_() % 2 == 0; }
  int64_t integer(int64_t min) { return pick<int64_t>({min, min + 1, 7, 4096, INT32_MAX}); }
  double share() { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); }
  void stream(DataConfig& data) {
    data.streaming = true;
    if (std::exchange(data.validation_split, 0) > 0) data.validation = {source()};
    data.shuffle_buffer = integer(1);
    for (DataSource& one : data.train) one.epochs = 1;
    data.cleaning.exact_duplicates = data.cleaning.near_duplicates.action = data.cleaning.conflicting_answers =
        RuleAction::kOff;
  }
  double positive() {
    const double any = std::ldexp(share() + 0.5, static_cast<int>(random_() % 200) - 100);
    return pick<double>({any, any, any, 1.0, 1e300, 5e-324, 0.1, 1.0 / 3.0, 2e-4, 1e22,
                         std::numeric_limits<double>::max(), std::numeric_limits<double>::min()});
  }
  std::string text() {
    static const std::vector<std::string> hard = {"123",
                                                  "null",
                                                  "~",
                                                  "true",
                                                  "No",
                                                  "1e3",
                                                  ".5",
                                                  ".inf",
                                                  "-",
                                                  "- a",
                                                  "a: b",
                                                  "a #b",
                                                  "#a",
                                                  "'",
                                                  "\"",
                                                  "it's",
                                                  "a\\b",
                                                  "{a}",
                                                  "[a]",
                                                  "a, b",
                                                  "&a",
                                                  "*a",
                                                  "!a",
                                                  "%a",
                                                  "@a",
                                                  "`a",
                                                  "|",
                                                  ">",
                                                  "?",
                                                  "? a",
                                                  ":",
                                                  " a ",
                                                  "  ",
                                                  "\t",
                                                  "a\nb",
                                                  "\n",
                                                  "a\r\nb",
                                                  "\x01\x1f\x7f",
                                                  "é模型",
                                                  "...",
                                                  "---",
                                                  "=",
                                                  "<<",
                                                  "C:\\models",
                                                  "/abs/path",
                                                  "./rel",
                                                  "../up",
                                                  "all-linears",
                                                  ".*\\.(q|v)_proj",
                                                  "0x1F",
                                                  "1_000",
                                                  "2020-01-01",
                                                  "a/b.c-d_e",
                                                  "path with spaces",
                                                  "-1",
                                                  "+1"};
    if (coin()) return pick(hard);
    std::string made;
    const size_t length = 1 + random_() % 12;
    for (size_t i = 0; i < length; ++i) made += static_cast<char>(1 + random_() % 127);
    return made;
  }
  ModulePatterns patterns() {
    if (coin()) return "model.*" + text();
    return std::vector<std::string>{text(), text()};
  }
  // Standard input can be read only once, which not every recipe bears, and ~/ becomes the home directory.
  std::string path() {
    const std::string made = text();
    return made == "-" || made.starts_with("~/") ? "./" + made : made;
  }
  DataSource source() {
    DataSource source{path(), "text", 1.0, {}};
    if (coin()) source = {path(), "alpaca", 1.0, {{"input", text()}, {"output", text()}}};
    if (coin()) source = {path(), "chat", 1.0, {}, "{% if x %}: \"a\"\n", TrainOn::kLastTurn};
    if (coin()) source = {path(), "preference", 1.0, {}, "", TrainOn::kChosen};
    return source;
  }
  RuleAction action() { return pick<RuleAction>({RuleAction::kOff, RuleAction::kWarn, RuleAction::kDrop}); }
  void cleaning(CleaningConfig& cleaning) {
    cleaning.exact_duplicates = action();
    cleaning.near_duplicates = {action(), 1.0 - share(), coin() ? NgramUnit::kChar : NgramUnit::kWord,
                                1 + integer(0) % 64, 16};
    cleaning.contamination = {action(), 1.0 - share()};
    cleaning.conflicting_answers = action();
    cleaning.empty_answers = action();
    cleaning.identical_answers = action();
    cleaning.length.action = action();
    if (coin()) cleaning.length.max_chars = integer(0);
    cleaning.answer_ratio = {action(), share(), 1.0 + share()};
    cleaning.invalid_utf8 = action();
    cleaning.control_characters = action();
    cleaning.non_alphanumeric = {action(), share()};
    cleaning.pii = action();
  }
  void training(TrainingConfig& training) {
    training.seed = pick<uint64_t>({0, 1, 42, UINT64_MAX});
    if (coin()) {
      training.max_steps = integer(1);
    } else {
      training.epochs = positive();
    }
    training.batch_size = integer(1);
    training.max_nonfinite_steps = integer(0);
    if (coin()) training.micro_batch_size = 1;
    training.max_length = integer(2);
    training.packing = coin();
    training.learning_rate = positive();
    training.learning_rates = {{"b" + text(), positive()}, {"a" + text(), positive()}};
    training.loraplus_lr_ratio = positive();
    training.lr_schedule = pick<std::string>({"constant", "linear", "cosine"});
    training.warmup_steps = coin() ? integer(0) : 0;
    if (training.warmup_steps == 0) training.warmup_ratio = share();
    training.min_lr_ratio = share();
    training.adam_beta1 = share();
    training.adam_beta2 = share();
    training.adam_epsilon = positive();
    training.weight_decay = coin() ? 0.0 : positive();
    training.max_grad_norm = coin() ? 0.0 : positive();
    training.eval_every = integer(1);
    training.checkpoint_every = integer(0);
    training.checkpoint_keep = integer(1);
    training.keep_best = coin();
    training.early_stopping_patience = integer(0);
    training.memory = coin() ? MemoryMode::kAuto : MemoryMode::kLow;
    if (coin()) training.memory_limit = 3'000'000'000;
    training.fused = coin();
    training.threads = coin() ? 0 : 16;
  }

  std::mt19937 random_;
};

TEST_CASE("a printed recipe reads back to the very same recipe") {
  RandomRecipes recipes(1);
  for (int i = 0; i < 500; ++i) {
    const Recipe recipe = recipes.next();
    const std::string yaml = to_yaml(recipe);
    INFO(yaml);
    const Recipe back = load_text(yaml);
    REQUIRE(back == recipe);
    REQUIRE(to_yaml(back) == yaml);
  }
}

TEST_CASE("a printed recipe has every default written out") {
  CHECK(to_yaml(load_text(kMinimal)) == R"(model:
  path: models/tiny
  dtype: auto
  quantization: none
  double_quantization: true
  device: auto
  head: none
  init: pretrained
  new_tokens: []
  new_tokens_init: covariance
adapter:
  method: lora
  rank: 8
  alpha: 16.0
  use_rslora: false
  dropout: 0.0
  target_modules: [q_proj, v_proj]
  exclude_modules: []
  layers_to_transform: []
  layers_pattern: []
  rank_pattern: {}
  alpha_pattern: {}
  modules_to_save: []
  bias: none
  lora_bias: false
  trainable_token_indices: []
  ensure_weight_tying: true
  init: kaiming
  init_from: null
  ignored_options: []
  adalora:
    target_r: 8
    tinit: 0
    tfinal: 0
    delta_t: 1
    beta1: 0.85
    beta2: 0.85
    orth_reg_weight: 0.5
data:
  train:
    - path: train.jsonl
      format: completion
      weight: 1.0
      epochs: 1.0
      fields: {}
      template: null
      train_on: null
  validation: []
  validation_split: 0.0
  shuffle: true
  streaming: false
  shuffle_buffer: 10000
  on_error: fail
  max_errors: 100
  cache_dir: auto
  template: auto
  train_on: assistant
  overlong: truncate
  allow_special_tokens: false
  mixing:
    strategy: concatenate
    by: samples
    temperature: 1.0
  cleaning:
    exact_duplicates: warn
    near_duplicates:
      action: warn
      threshold: 0.8
      ngram_unit: char
      ngram_size: 5
      num_perm: 128
    contamination:
      action: warn
      threshold: 0.8
    conflicting_answers: warn
    identical_answers: drop
    empty_answers: warn
    length:
      action: warn
      min_chars: null
      max_chars: null
    answer_ratio:
      action: warn
      min_ratio: null
      max_ratio: null
    invalid_utf8: warn
    control_characters: warn
    non_alphanumeric:
      action: warn
      max_ratio: 0.5
    pii: warn
training:
  seed: 42
  objective: causal_lm
  preference:
    beta: 0.1
    loss: sigmoid
    label_smoothing: 0.0
    reference: auto
    simpo_gamma: 0.5
    cpo_alpha: null
    desirable_weight: 1.0
    undesirable_weight: 1.0
    sft_weight: 0.0
    center_rewards_coefficient: 0.0
    share_prompt: true
  max_steps: 200
  epochs: null
  batch_size: 8
  micro_batch_size: auto
  max_length: 512
  packing: true
  optimizer: adamw
  learning_rate: 2.0e-04
  learning_rates: {}
  loraplus_lr_ratio: 1.0
  lr_schedule: cosine
  warmup_steps: 0
  warmup_ratio: 0.0
  min_lr_ratio: 0.0
  adam_beta1: 0.9
  adam_beta2: 0.999
  adam_epsilon: 1.0e-08
  weight_decay: 0.0
  max_grad_norm: 1.0
  max_nonfinite_steps: 3
  eval_every: 0
  checkpoint_every: 0
  checkpoint_keep: 2
  keep_best: false
  best_by: loss
  early_stopping_patience: 0
  memory: auto
  memory_limit: null
  fused: true
  threads: 0
evaluation:
  exact_match: 0
  show: 3
  max_new_tokens: 64
distributed:
  by: passes
  timeout: 600.0
output_dir: runs/example
export: [peft]
logging: []
)");
}

TEST_CASE("the smallest recipe has its defaults written out") {
  const Recipe recipe = load_text(
      "model: {path: models/tiny}\ndata: {train: [{path: train.jsonl}]}\n"
      "training: {max_steps: 3}\noutput_dir: x\n");
  CHECK_THAT(to_yaml(recipe), Catch::Matchers::Contains("  target_modules: all-linear\n") &&
                                  Catch::Matchers::Contains("      format: auto\n") &&
                                  Catch::Matchers::Contains("export: [peft]\n"));
  const Recipe full = load_text(kMinimal, {"adapter={method: full}"});
  CHECK_THAT(to_yaml(full), Catch::Matchers::Contains("export: [huggingface]\n"));
  CHECK(load_text(kMinimal, {"export=[]"}).exports.empty());
}

TEST_CASE("a recipe that an earlier version wrote is the same run") {
  // As it was written out before validation_split, warmup_ratio and the defaults of target_modules and export.
  const auto earlier = [](std::string yaml) {
    for (const char* line : {"  validation_split: 0.0\n", "  warmup_ratio: 0.0\n"}) {
      const size_t at = yaml.find(line);
      REQUIRE(at != std::string::npos);
      yaml.erase(at, std::string(line).size());
    }
    return load_text(yaml);
  };
  const Recipe lora = load_text(kMinimal);
  CHECK(differing_keys(earlier(to_yaml(lora)), lora).empty());
  const Recipe full = load_text(kMinimal, {"adapter={method: full}"});
  std::string text = to_yaml(full);
  const std::string now = "target_modules: all-linear", then = "target_modules: []";
  text.replace(text.find(now), now.size(), then);
  CHECK(differing_keys(earlier(text), full).empty());
}

TEST_CASE("only keys that decide what is trained make two recipes differ") {
  const auto differing = [](const Overrides& overrides) {
    return differing_keys(load_text(kMinimal), load_text(kMinimal, overrides));
  };
  using Keys = std::vector<std::string>;
  CHECK(differing({}) == Keys{});
  CHECK(differing({"training.max_steps=5", "training.learning_rate=1", "export=[peft]", "evaluation.show=0",
                   "output_dir=x", "training.checkpoint_every=3", "training.warmup_ratio=0.1"}) == Keys{});
  CHECK(differing({"data.validation_split=0.1"}) == Keys{"data.validation_split"});
  CHECK(differing({"training.seed=1", "adapter.rank=4", "model.path=x"}) ==
        Keys{"model.path", "adapter.rank", "training.seed"});
  const Overrides adalora = {"adapter.method=adalora", "adapter.rank=12"};
  CHECK(differing_keys(load_text(kMinimal, adalora),
                       load_text(kMinimal, {adalora[0], adalora[1], "training.max_steps=5"})) ==
        Keys{"training.max_steps"});
  CHECK(differing({"data.train.0.fields={prompt: q}"}) == Keys{"data.train"});
  CHECK(differing({"data.validation=[{path: a, format: text}]", "training.packing=false"}) ==
        Keys{"data.validation", "training.packing"});
}

}  // namespace
}  // namespace lora::test
