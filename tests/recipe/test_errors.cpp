// Keys and values that a recipe cannot have, each refused where it stands.

#include "lora/adapters/registry.h"
#include "lora/recipe/recipe.h"
#include "tests/catch.h"
#include "tests/recipe/bad_lines.h"

namespace lora::test {
namespace {

TEST_CASE("an unknown key is refused with the nearest one") {
  check_all({
      adapter("lora_rnak: 4", "3: unknown key 'lora_rnak' in 'adapter' (did you mean 'rank'?)"),
      adapter("alfa: 4", "3: unknown key 'alfa' in 'adapter' (did you mean 'alpha'?)"),
      adapter("aplha: 4", "3: unknown key 'aplha' in 'adapter' (did you mean 'alpha'?)"),
      training("bath_size: 4", "3: unknown key 'bath_size' in 'training' (did you mean 'batch_size'?)"),
      training("xyzzy: 4", "3: unknown key 'xyzzy' in 'training'"),
      training("logging_steps: 4",
               "3: unknown key 'logging_steps' in 'training' (leave it out: every step is logged, to metrics.jsonl and "
               "report.html)"),
      {10, "ouput_dir: x", "10:1: unknown key 'ouput_dir' (did you mean 'output_dir'?)"},
      {7, "    - {path: train.jsonl, frmat: text}",
       "7:27: unknown key 'frmat' in 'data.train.0' (did you mean 'format'?)"},
      {7, "    - {path: train.jsonl, format: completion, fields: {promt: x}}",
       "7:63: unknown key 'promt' in 'data.train.0.fields' (did you mean 'prompt'?); "
       "format completion has prompt, completion, system, system_prompt, label, kto_tag"},
  });
}

TEST_CASE("another tool's name for a key is refused with ours") {
  const std::vector<std::pair<std::string, std::string>> in_adapter = {
      {"r", "rank"},
      {"lora_r", "rank"},
      {"lora_rank", "rank"},
      {"lora_alpha", "alpha"},
      {"lora_dropout", "dropout"},
      {"lora_target_modules", "target_modules"},
      {"target_module", "target_modules"},
      {"init_lora_weights", "init"},
  };
  for (const auto& [other, ours] : in_adapter) {
    check_all({adapter(other + ": 4", "3: unknown key '" + other + "' in 'adapter' (did you mean '" + ours + "'?)")});
  }
  const std::vector<std::pair<std::string, std::string>> in_training = {
      {"num_train_epochs", "epochs"},
      {"num_epochs", "epochs"},
      {"per_device_train_batch_size", "micro_batch_size"},
      {"sequence_len", "max_length"},
      {"sample_packing", "packing"},
      {"save_total_limit", "checkpoint_keep"},
      {"save_steps", "checkpoint_every"},
      {"eval_steps", "eval_every"},
      {"lr", "learning_rate"},
      {"lr_scheduler", "lr_schedule"},
      {"lr_scheduler_type", "lr_schedule"},
      {"adam_eps", "adam_epsilon"},
      {"load_best_model_at_end", "keep_best"},
  };
  for (const auto& [other, ours] : in_training) {
    check_all({training(other + ": 4", "3: unknown key '" + other + "' in 'training' (did you mean '" + ours + "'?)")});
  }
  check_all({
      training("gradient_accumulation_steps: 4",
               "3: unknown key 'gradient_accumulation_steps' in 'training' "
               "(did you mean 'batch_size'? it counts the rows of a whole optimizer step)"),
      training("warmup_proportion: 0.1",
               "3: unknown key 'warmup_proportion' in 'training' "
               "(did you mean 'warmup_ratio'? a share of the run's steps)"),
      {10, "output_dir: x\nbase_model: x", "11:1: unknown key 'base_model' (did you mean 'path' in 'model'?)"},
      {10, "output_dir: x\ndatasets: x", "11:1: unknown key 'datasets' (did you mean 'train' in 'data'?)"},
      {10, "output_dir: x\nval_set_size: x",
       "11:1: unknown key 'val_set_size' (did you mean 'validation_split' in 'data'? a share of the training rows, "
       "such as 0.1)"},
      {10, "output_dir: x\nlora: {}", "11:1: unknown key 'lora' (did you mean 'adapter'?)"},
  });
}

TEST_CASE("a key in the wrong section is sent to its own") {
  check_all({
      training("rank: 4", "3: unknown key 'rank' in 'training' ('rank' belongs in 'adapter')"),
      adapter("output_dir: x", "3: unknown key 'output_dir' in 'adapter' ('output_dir' belongs at the top level)"),
      {10, "output_dir: x\nmicro_batch_size: 2",
       "11:1: unknown key 'micro_batch_size' ('micro_batch_size' belongs in 'training')"},
      {6, "  format: text\n  train:",
       "6:3: unknown key 'format' in 'data' ('format' belongs in 'data.train' or in 'data.validation')"},
  });
}

TEST_CASE("a key given twice is refused at the second") {
  check_all({
      {4, "  target_modules: [q_proj]\n  rank: 4\n  rank: 4", "6:3: duplicate key 'rank', first given at a.yaml:5:3"},
      {10, "output_dir: x\nmodel: {path: y}", "11:1: duplicate key 'model', first given at a.yaml:1:1"},
      {7, "    - {path: a, format: text, path: b}", "7:31: duplicate key 'path', first given at a.yaml:7:8"},
  });
}

TEST_CASE("a validation split is a share or a number of rows") {
  const auto split = [](const std::string& text) {
    return BadLine{
        6, "  validation_split: " + text + "\n  train:",
        "6:21: data.validation_split: expected a share of the rows, such as 0.1, or a number of rows, found '" + text +
            "'"};
  };
  check_all({split("-0.1"), split("1.0"), split("1.5"), split("ten"), split(".nan")});
  check_all(
      {{6, "  validation_split: -5\n  train:", "6:21: data.validation_split: expected an integer >= 1, found '-5'"}});
  const std::string with_split = with_line(kMinimal, 6, "  validation_split: 200\n  train:");
  CHECK(load_text(with_split).data.validation_split == 200);
  CHECK(load_text(to_yaml(load_text(with_split))).data.validation_split == 200);
  CHECK_THAT(to_yaml(load_text(with_split)), Catch::Matchers::Contains("validation_split: 200\n"));
  CHECK_THAT(error_of(with_split, {"data.train.0.path=-"}),
             Catch::Matchers::Contains("data.validation_split reads the rows twice; expected a file"));
  CHECK_THAT(error_of(with_split, {"data.streaming=true"}),
             Catch::Matchers::Contains("data.validation_split: not with data.streaming, which reads each row once"));
}

TEST_CASE("rows of the head alone to train are refused by its name") {
  check_all({adapter("trainable_token_indices: {lm_head: [1]}",
                     "28: adapter.trainable_token_indices: expected a list, found a map (the rows are those of "
                     "embed_tokens, and of a head that is tied to it; rows of lm_head alone are not supported, "
                     "modules_to_save: [lm_head] trains them all)")});
}

TEST_CASE("a value of the wrong type is refused") {
  check_all({
      adapter("rank: abc", "9: adapter.rank: expected an integer, found 'abc'"),
      adapter("rank: 1e3", "9: adapter.rank: expected an integer, found '1e3'"),
      adapter("rank: 1_000", "9: adapter.rank: expected an integer, found '1_000'; write it in digits alone"),
      adapter("rank: 8.0", "9: adapter.rank: expected an integer, found '8.0'"),
      adapter("rank: 0x10", "9: adapter.rank: expected an integer, found '0x10'; write it in decimal"),
      adapter("rank: '8'", "9: adapter.rank: expected an integer, found the string '8'"),
      adapter("rank: [8]", "9: adapter.rank: expected an integer, found a list"),
      adapter("rank: {a: 8}", "9: adapter.rank: expected an integer, found a map"),
      adapter("rank: null", "9: adapter.rank: expected an integer, found nothing"),
      adapter("alpha: high", "10: adapter.alpha: expected a number, found 'high'"),
      adapter("alpha: 1_0.5", "10: adapter.alpha: expected a number, found '1_0.5'"),
      adapter("modules_to_save: lm_head",
              "20: adapter.modules_to_save: expected a list, found 'lm_head'; write [lm_head]"),
      adapter("modules_to_save: [3]",
              "21: adapter.modules_to_save.0: expected a string, found '3'; put it in quotes if it is one"),
      adapter("layers_to_transform: [0, x]", "28: adapter.layers_to_transform.1: expected an integer, found 'x'"),
      adapter("rank_pattern: {q: 0}", "21: adapter.rank_pattern.q: expected an integer >= 1, found '0'"),
      adapter("alpha_pattern: [1]", "18: adapter.alpha_pattern: expected a map of module to number, found a list"),
      training("packing: yes", "12: training.packing: expected true or false, found 'yes'"),
      training("packing: True", "12: training.packing: expected true or false, found 'True'"),
      training("packing: 'true'", "12: training.packing: expected true or false, found the string 'true'"),
      training("micro_batch_size: automatic",
               "21: training.micro_batch_size: expected an integer or auto, found 'automatic'"),
      {2, "  path: 123", "2:9: model.path: expected a string, found '123'; put it in quotes if it is one"},
      {2, "  path: true", "2:9: model.path: expected a string, found 'true'; put it in quotes if it is one"},
      {2, "  path: null", "2:9: model.path: expected a string, found nothing"},
      {2, "  path: ''", "2:9: model.path: expected a string that is not empty"},
      {2, "  path: \"a\\0b\"", "2:9: model.path: a NUL character in a string"},
      {7, "    - train.jsonl", "7:7: data.train.0: expected a map, found 'train.jsonl'; write {path: train.jsonl}"},
      {7, "    path: train.jsonl", "7:5: data.train: expected a list of maps, found a map"},
      {4, "  target_modules: {q_proj: 1}",
       "4:19: adapter.target_modules: expected a list of names, a regular expression or all-linear, found a map"},
      {4, "  target_modules: all_linear",
       "4:19: adapter.target_modules: expected a list of names, a regular expression or all-linear, "
       "found 'all_linear' (did you mean 'all-linear'?)"},
  });
  CHECK(error_of(kMinimal, {"data.train=train.jsonl"}) ==
        "[recipe] override 'data.train=train.jsonl': expected a list of maps, found 'train.jsonl'; write [{path: "
        "train.jsonl}]");
  CHECK(error_of(kMinimal, {"model=models/tiny"}) ==
        "[recipe] override 'model=models/tiny': expected a map, found 'models/tiny'");
}

TEST_CASE("PEFT's options for biases, rows and layers are refused where they are misspelt or mean nothing") {
  check_all({
      adapter("bias: lora",
              "9: adapter.bias: expected one of none, all, lora_only, found 'lora' (did you mean 'lora_only'?)"),
      adapter("lora_bias: all", "14: adapter.lora_bias: expected true or false, found 'all'"),
      adapter("trainable_token_indices: 5",
              "28: adapter.trainable_token_indices: expected a list, found '5'; write [5]"),
      adapter("trainable_token_indices: [-1]",
              "29: adapter.trainable_token_indices.0: expected an integer >= 0, found '-1'"),
      adapter("layers_pattern: [layers]",
              "19: adapter.layers_pattern: only with layers_to_transform, whose layers it names"),
      adapter("lora_bias: true\n  init: olora", "14: adapter.lora_bias: not with init olora"),
      adapter("lora_bias: true\n  method: dora", "14: adapter.lora_bias: not with method dora"),
  });
}

TEST_CASE("a value out of its range is refused") {
  check_all({
      adapter("rank: 0", "9: adapter.rank: expected an integer >= 1, found '0'"),
      adapter("rank: -4", "9: adapter.rank: expected an integer >= 1, found '-4'"),
      adapter("rank: 2147483648", "9: adapter.rank: expected an integer from 1 to 2147483647, found '2147483648'"),
      adapter("rank: 99999999999999999999",
              "9: adapter.rank: expected an integer from 1 to 2147483647, found '99999999999999999999'"),
      adapter("alpha: 0", "10: adapter.alpha: expected a finite number > 0, found '0'"),
      adapter("alpha: .inf", "10: adapter.alpha: expected a finite number > 0, found '.inf'"),
      adapter("alpha: 1e999", "10: adapter.alpha: expected a finite number > 0, found '1e999'"),
      adapter("dropout: 1", "12: adapter.dropout: expected a number >= 0 and < 1, found '1'"),
      adapter("dropout: -0.1", "12: adapter.dropout: expected a number >= 0 and < 1, found '-0.1'"),
      adapter("dropout: .nan", "12: adapter.dropout: expected a number >= 0 and < 1, found '.nan'"),
      adapter("layers_to_transform: [-1]", "25: adapter.layers_to_transform.0: expected an integer >= 0, found '-1'"),
      training("seed: -1", "9: training.seed: expected an integer from 0 to 18446744073709551615, found '-1'"),
      training("seed: 18446744073709551616",
               "9: training.seed: expected an integer from 0 to 18446744073709551615, found '18446744073709551616'"),
      training("batch_size: 0", "15: training.batch_size: expected an integer >= 1, found '0'"),
      training("micro_batch_size: 0", "21: training.micro_batch_size: expected an integer >= 1, found '0'"),
      training("max_length: 1", "15: training.max_length: expected an integer >= 2, found '1'"),
      training("learning_rate: 0", "18: training.learning_rate: expected a finite number > 0, found '0'"),
      training("learning_rate: -1e-4", "18: training.learning_rate: expected a finite number > 0, found '-1e-4'"),
      training("learning_rate: .nan", "18: training.learning_rate: expected a finite number > 0, found '.nan'"),
      training("learning_rate: NaN", "18: training.learning_rate: expected a finite number > 0, found 'NaN'"),
      training("learning_rate: -.inf", "18: training.learning_rate: expected a finite number > 0, found '-.inf'"),
      training("learning_rates: {head: .nan}",
               "26: training.learning_rates.head: expected a finite number > 0, found '.nan'"),
      training("warmup_steps: -1", "17: training.warmup_steps: expected an integer >= 0, found '-1'"),
      training("min_lr_ratio: 1.1", "17: training.min_lr_ratio: expected a number >= 0 and <= 1, found '1.1'"),
      training("adam_beta2: 1.0", "15: training.adam_beta2: expected a number >= 0 and < 1, found '1.0'"),
      training("adam_epsilon: 0.0", "17: training.adam_epsilon: expected a finite number > 0, found '0.0'"),
      training("weight_decay: -1", "17: training.weight_decay: expected a finite number >= 0, found '-1'"),
      training("checkpoint_keep: 0", "20: training.checkpoint_keep: expected an integer >= 1, found '0'"),
      {9, "  max_steps: 0", "9:14: training.max_steps: expected an integer >= 1, found '0'"},
      {9, "  epochs: 0", "9:11: training.epochs: expected a finite number > 0, found '0'"},
      {7, "    - {path: a, format: text, weight: 0}",
       "7:39: data.train.0.weight: expected a finite number > 0, found '0'"},
      {10, "output_dir: x\nevaluation: {max_new_tokens: 0}",
       "11:30: evaluation.max_new_tokens: expected an integer >= 1, found '0'"},
  });
}

TEST_CASE("a name that is none of the known ones is refused with the nearest") {
  check_all({
      adapter("method: qlora", "11: adapter.method: expected one of " + joined(method_names().known) +
                                   ", found 'qlora' (QLoRA is method lora with model.quantization: nf4)"),
      adapter("method: lroa", "11: adapter.method: expected one of " + joined(method_names().known) +
                                  ", found 'lroa' (did you mean 'lora'?)"),
      {2, "  path: x\n  quantization: 4bit",
       "3:17: model.quantization: expected one of none, int8, nf4, found '4bit' (did you mean 'nf4'?)"},
      adapter("init: pissa_niter_",
              "9: adapter.init: expected one of kaiming, gaussian, pissa, pissa_niter_N, olora, found 'pissa_niter_' "
              "(did you mean 'pissa_niter_N'?)"),
      adapter("init: kaimng",
              "9: adapter.init: expected one of kaiming, gaussian, pissa, pissa_niter_N, olora, found 'kaimng' (did "
              "you mean 'kaiming'?)"),
      training(
          "lr_schedule: cosin",
          "16: training.lr_schedule: expected one of constant, linear, cosine, found 'cosin' (did you mean 'cosine'?)"),
      training("lr_schedule: [cosine]",
               "16: training.lr_schedule: expected one of constant, linear, cosine, found a list"),
      training("optimizer: adamw_torch",
               "14: training.optimizer: expected adamw, found 'adamw_torch' (did you mean 'adamw'?)"),
      {2, "  path: x\n  dtype: bf16",
       "3:10: model.dtype: expected one of auto, float32, bfloat16, float16, found 'bf16' (did you mean 'bfloat16'?)"},
      {2, "  path: x\n  device: gpu",
       "3:11: model.device: expected one of auto, cpu, cuda, cuda:N, found 'gpu' (did you mean 'cuda'?)"},
      {2, "  path: x\n  device: cuda:-1",
       "3:11: model.device: expected one of auto, cpu, cuda, cuda:N, found 'cuda:-1' (did you mean 'cuda:N'?)"},
      {7, "    - {path: a, format: alpca}",
       "7:25: data.train.0.format: expected one of auto, alpaca, chat, classification, completion, "
       "preference, preference_chat, sharegpt, text, found 'alpca' (did you mean 'alpaca'?)"},
      {10, "output_dir: x\nexport: [hf]",
       "11:10: export.0: expected one of peft, lora, torchscript, torchscript-int8, huggingface, gguf, gguf-f32, "
       "gguf-f16, gguf-bf16, "
       "gguf-q8_0, gguf-lora, found 'hf' (did you mean "
       "'huggingface'?)"},
      {10, "output_dir: x\nexport: [peft, peft]", "11:16: export.1: 'peft' is named twice"},
  });
}

TEST_CASE("what a later version will have is told apart from a misspelling") {
  check_all({
      {7, "    - {path: a, format: text, weight: 0.5}",
       "7:39: data.train.0.weight: only with data.mixing.strategy weights or temperature; with concatenate, `epochs` "
       "says how often an epoch "
       "passes over a source"},
  });
}

TEST_CASE("a required key that is missing is named where its section stands") {
  check_all({
      {2, "  dtype: auto", "1:1: missing key 'path' in 'model'"},
      {10, "export: []", "1:1: missing key 'output_dir'"},
      {7, "    - {format: text}", "7:7: missing key 'path' in 'data.train.0'"},
      {4, "  target_modules: []",
       "4:19: adapter.target_modules: expected a list of names, a regular expression or all-linear, which is the "
       "default; found an empty list"},
      {9, "  seed: 3", "8:1: missing key 'max_steps' or 'epochs' in 'training'"},
      {9, "  max_steps: null", "8:1: missing key 'max_steps' or 'epochs' in 'training'"},
  });
  const std::string no_train =
      "missing key 'train' in 'data'; expected a list of at least one {path: ..., format: ...}";
  const std::string before = kMinimal.substr(0, kMinimal.find("data:")),
                    after = "training: {max_steps: 1}\noutput_dir: x\n";
  CHECK(error_of(before + "data: {train: []}\n" + after) == "[recipe] a.yaml:5:15: " + no_train);
  CHECK(error_of(before + "data: {shuffle: true}\n" + after) == "[recipe] a.yaml:5:1: " + no_train);
  CHECK(error_of(before + after) == "[recipe] a.yaml:1:1: " + no_train);
}

TEST_CASE("names without a path in place of a list of targets are answered with the list to write") {
  const auto target = [](const std::string& text) { return error_of(with_line(4, "  target_modules: " + text)); };
  const std::string means = "; a string is a regular expression over a module's whole path: write ";
  CHECK(target("q_proj") ==
        "[recipe] a.yaml:4:19: adapter.target_modules: expected a list of names, found 'q_proj'" + means + "[q_proj]");
  CHECK(target("'q_proj, self_attn.v_proj'") ==
        "[recipe] a.yaml:4:19: adapter.target_modules: expected a list of names, found the string 'q_proj, "
        "self_attn.v_proj'" +
            means + "[q_proj, self_attn.v_proj]");
  CHECK(target("all") ==
        "[recipe] a.yaml:4:19: adapter.target_modules: expected all-linear, a list of names or a regular expression, "
        "found 'all'");
  for (const char* expression : {"'.*q_proj'", "model.layers.0.self_attn.q_proj", "lm_head", "'.*\\.(q|v)_proj'"}) {
    CHECK(target(expression) == "loaded");
  }
}

TEST_CASE("what a chat template cannot be is refused with the names it can") {
  const auto source = [](const std::string& rest, const std::string& message) {
    return BadLine{7, "    - {path: a, format: " + rest + "}", "7:" + message};
  };
  check_all({
      {6, "  template: chatlm\n  train:",
       "6:13: data.template: expected one of auto, model, alpaca, chatml, gemma, llama-2, llama-3, mistral, phi-3, "
       "plain, "
       "zephyr, a path that ends in .jinja or a template, found 'chatlm' (did you mean 'chatml'?)"},
      source("text, template: chatml", "41: data.train.0.template: format text has no conversation to render"),
      source("text, train_on: chosen",
             "41: data.train.0.train_on: chosen goes with pairs or a label, found format text"),
      source(
          "preference",
          "25: data.train.0.format: pairs are learnt by training.objective dpo, ipo, orpo, simpo, cpo, kto or reward; "
          "train_on: chosen trains on the chosen answers alone"),
      {6, "  train_on: chosen\n  train:",
       "6:13: data.train_on: chosen is for a source with pairs or labels alone; set it in that source's train_on"},
      {6, "  overlong: cut\n  train:",
       "6:13: data.overlong: expected one of truncate, drop, split, found 'cut' (did you mean 'truncate'?)"},
      {6, "  chat_template: x\n  train:", "6:3: unknown key 'chat_template' in 'data' (did you mean 'template'?)"},
  });
}

TEST_CASE("a chat template may be a name, a file or the template itself") {
  CHECK(load_text(kMinimal, {"data.template=zephyr"}).data.chat_template == "zephyr");
  CHECK(load_text(kMinimal, {"data.template=a/b.jinja"}).data.chat_template == "a/b.jinja");
  CHECK(load_text(kMinimal, {"data.train.0.template='{{ messages }}'"}).data.train[0].chat_template ==
        "{{ messages }}");
  CHECK(load_text(with_line(7, "    - {path: a, format: preference, train_on: chosen}")).data.train[0].train_on ==
        TrainOn::kChosen);
}

}  // namespace
}  // namespace lora::test
