// Keys that are each fine, and are refused together.

#include "lora/recipe/recipe.h"
#include "tests/catch.h"
#include "tests/recipe/bad_lines.h"

namespace lora::test {
namespace {

const std::string kSplitHint = "(data.validation_split: 0.1 takes a tenth of the rows)";

TEST_CASE("keys that contradict each other are refused") {
  check_all({
      training("epochs: 3", "11: training.epochs: max_steps is given too; a run ends by one of the two"),
      training("micro_batch_size: 9", "21: training.micro_batch_size: 9 is more than the batch_size of 8"),
      training("keep_best: true", "14: training.keep_best: needs data.validation, which is empty " + kSplitHint),
      training("early_stopping_patience: 2",
               "28: training.early_stopping_patience: counts evaluations during the run, and eval_every asks for none\n"
               "[recipe] a.yaml:10:28: training.early_stopping_patience: needs data.validation, which is empty " +
                   kSplitHint),
      training("early_stopping_patience: 2\n  eval_every: 5",
               "28: training.early_stopping_patience: needs data.validation, which is empty " + kSplitHint),
      training("warmup_steps: 5\n  warmup_ratio: 0.1",
               "17: training.warmup_ratio: warmup_steps is given too; expected one of the two")
          .at(11),
      {6, "  validation_split: 0.1\n  validation: [{path: b}]\n  train:",
       "6:21: data.validation_split: data.validation is given too; expected one of the two"},
      {6, "  validation_split: 0.1\n  streaming: true\n  train:",
       "6:21: data.validation_split: not with data.streaming, which reads each row once; expected a file in "
       "data.validation"},
      {10, "output_dir: x\nevaluation: {exact_match: 10}",
       "11:27: evaluation.exact_match: needs data.validation, which is empty " + kSplitHint},
      adapter("exclude_modules: all-linear", "20: adapter.exclude_modules: all-linear would leave nothing to adapt"),
      {4, "  target_modules: all-linear\n  layers_to_transform: [0]",
       "5:24: adapter.layers_to_transform: only with a list in target_modules; "
       "name the layers in the regular expression, or list the modules"},
      {4, "  method: full\n  init_from: runs/a",
       "5:14: adapter.init_from: method full has no adapter to continue from; put the model in model.path"},
      {4, "  target_modules: [q_proj]\n  method: dora\n  init: pissa",
       "6:9: adapter.init: pissa is for methods lora and rslora, found dora"},
      {4, "  method: full\n  exclude_modules: [lm_head]",
       "5:20: adapter.exclude_modules: method full trains every module; expected none"},
      {4, "  method: full\n  layers_to_transform: [1]\n  target_modules: [q_proj]",
       "5:24: adapter.layers_to_transform: method full trains every layer; expected none"},
      {4, "  method: full\n  use_rslora: true",
       "5:15: adapter.use_rslora: not with method full, which has no adapter to scale"},
      {4, "  target_modules: [q_proj]\n  method: rslora\n  use_rslora: false",
       "6:15: adapter.use_rslora: false contradicts method rslora; leave it out, or use method lora"},
  });
  CHECK(error_of(with_line(9, "  max_steps: 1\n  loraplus_lr_ratio: 16"), {"adapter.method=full"}) ==
        "[recipe] a.yaml:10:22: training.loraplus_lr_ratio: is between the rates of an adapter's B and A, and method "
        "full has none");
  CHECK(error_of(with_line(4, "  method: full") + "export: [huggingface, peft]\n") ==
        "[recipe] a.yaml:11:23: export: peft: method full has no adapter; huggingface writes the whole model");
  CHECK(error_of(with_line(2, "  path: x\n  quantization: nf4"), {"adapter.method=full"}) ==
        "[recipe] a.yaml:3:17: model.quantization: method full trains the weights themselves, which nf4 freezes; "
        "expected none, or an adapter");
}

TEST_CASE("AdaLoRA's options are refused where they contradict each other, or another method is trained") {
  const auto adalora = [](const std::string& rest) {
    return error_of(with_line(4, "  target_modules: [q_proj]\n  method: adalora\n  " + rest));
  };
  CHECK(adalora("rank: 12") == "loaded");
  CHECK(adalora("rank: 8") ==
        "[recipe] a.yaml:3:1: adapter.adalora.target_r: expected less than adapter.rank, the rank that AdaLoRA begins "
        "with, for there to be something to prune; found 8 and a rank of 8 (PEFT has 8 and 12)");
  CHECK_THAT(adalora("adalora: {target_r: 20}"), Catch::Matchers::Contains("a.yaml:6:23: adapter.adalora.target_r"));
  CHECK_THAT(adalora("rank: 12\n  rank_pattern: {q_proj: 3}"), Catch::Matchers::Contains("7:3: adapter.rank_pattern"));
  CHECK_THAT(adalora("rank: 12\n  alpha_pattern: {q_proj: 3}"), Catch::Matchers::Contains("adapter.alpha_pattern"));
  CHECK_THAT(adalora("rank: 12\n  init: gaussian"), Catch::Matchers::Contains("7:9: adapter.init"));
  CHECK_THAT(adalora("rank: 12\n  use_rslora: true"), Catch::Matchers::Contains("7:15: adapter.use_rslora"));
  CHECK_THAT(adalora("rank: 12\n  adalora: {beta1: 1}"), Catch::Matchers::Contains("adapter.adalora.beta1"));
  CHECK_THAT(
      adalora("rank: 12\n  adalora: {init_r: 12}"),
      Catch::Matchers::Contains("did you mean 'rank' in 'adapter'? with method adalora it is the rank to begin"));
  check_all({
      adapter("adalora: {target_r: 4}", "3: adapter.adalora: only with method adalora"),
      {10, "output_dir: x\nexport: [peft, lora]",
       "11:16: export: lora: makes a LoRA adapter of an AdaLoRA one; expected peft with method lora"},
  });
}

TEST_CASE("a classifier wants labelled rows, and only it") {
  check_all({
      {7, "    - {path: a.csv, format: classification}",
       "7:29: data.train.0.format: classification does not go with model.head none; "
       "sequence_classification and format classification do"},
      {2, "  path: x\n  head: sequence_classification",
       "8:35: data.train.0.format: completion does not go with model.head sequence_classification; "
       "sequence_classification and format classification do"},
      {2, "  path: x\n  head: classification",
       "3:9: model.head: expected one of none, sequence_classification, found 'classification' "
       "(did you mean 'sequence_classification'?)"},
  });
  const std::string labelled = with_line(
      7, "    - {path: a.csv, format: classification}\n  validation: [{path: b.csv, format: classification}]");
  CHECK(error_of(labelled, {"model.head=sequence_classification"}) == "loaded");
  CHECK_THAT(error_of(labelled, {"model.head=sequence_classification", "evaluation.exact_match=5"}),
             Catch::Matchers::Contains("evaluation.exact_match: a classifier writes no answers"));
}

}  // namespace
}  // namespace lora::test
