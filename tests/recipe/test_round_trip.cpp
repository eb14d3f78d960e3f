// A recipe that is printed and read again is the same one.

#include "lora/recipe/recipe.h"
#include "tests/catch.h"
#include "tests/recipe/random_recipes.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

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
