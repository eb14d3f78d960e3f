// Files of axolotl, LLaMA-Factory and TRL, as recipes.

#include "lora/recipe/convert.h"

#include <set>

#include "lora/recipe/foreign_defaults.h"
#include "lora/recipe/foreign_file.h"
#include "lora/recipe/recipe_text.h"
#include "lora/recipe/values.h"
#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

std::string converted(const std::string& yaml) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", yaml);
  return converted_recipe(directory / "a.yaml");
}

}  // namespace

TEST_CASE("a file of axolotl becomes the recipe that trains the same, and says what it leaves out") {
  const std::string text = converted(R"(base_model: meta-llama/Llama-3.2-1B
model_type: LlamaForCausalLM
load_in_8bit: false
load_in_4bit: true
strict: false
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
  - path: chats.jsonl
    type: chat_template
    roles_to_train: [assistant]
dataset_prepared_path: last_run_prepared
val_set_size: 0.1
output_dir: ./outputs/qlora-out
adapter: qlora
lora_model_dir:
sequence_len: 2048
sample_packing: true
pad_to_sequence_len: true
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_modules:
lora_target_linear: true
wandb_project:
wandb_name: mine
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 4
optimizer: paged_adamw_32bit
lr_scheduler: cosine
learning_rate: 0.0002
bf16: auto
tf32: false
gradient_checkpointing: true
flash_attention: true
warmup_ratio: 0.1
evals_per_epoch: 4
saves_per_epoch: 1
weight_decay: 0.0
special_tokens:
  pad_token: "<|end_of_text|>"
)");
  INFO(text);
  const Recipe recipe = load_text(text);
  CHECK(recipe.model.path == "meta-llama/Llama-3.2-1B");
  CHECK(recipe.model.quantization == "nf4");
  CHECK(recipe.model.dtype == "bfloat16");
  CHECK(recipe.adapter.method == "lora");
  CHECK(recipe.adapter.rank == 32);
  CHECK(recipe.adapter.alpha == 16);
  CHECK(recipe.adapter.dropout == 0.05);
  CHECK(std::holds_alternative<AllLinear>(recipe.adapter.target_modules));
  REQUIRE(recipe.data.train.size() == 2);
  CHECK(recipe.data.train[0].format == "alpaca");
  CHECK(recipe.data.train[1].path == "chats.jsonl");
  CHECK(recipe.data.train[1].format == "chat");
  CHECK(recipe.data.validation_split == 0.1);
  CHECK(recipe.training.max_length == 2048);
  CHECK(recipe.training.batch_size == 8);
  CHECK(recipe.training.epochs == 4.0);
  CHECK(recipe.training.lr_schedule == "cosine");
  CHECK(recipe.training.learning_rate == 2e-4);
  CHECK(recipe.training.warmup_ratio == 0.1);
  CHECK(recipe.output_dir == "./outputs/qlora-out");
  // What is left out is named, with the reason.
  for (const char* part :
       {"hf download meta-llama/Llama-3.2-1B", "optimizer: paged_adamw_32bit", "evals_per_epoch: 4",
        "special_tokens: {pad_token:", "flash_attention: true", "wandb_name: mine", "gradient_checkpointing: true",
        "model_type: LlamaForCausalLM", "datasets.1.roles_to_train: [assistant]"}) {
    CHECK_THAT(text, Contains(part));
  }
  // What says nothing is not.
  for (const char* part : {"tf32", "wandb_project", "lora_model_dir", "load_in_8bit"})
    CHECK_THAT(text, !Contains(part));
}

TEST_CASE("a file of LLaMA-Factory becomes a recipe") {
  const std::string text = converted(R"(model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct
stage: dpo
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: q_proj,v_proj
pref_beta: 0.2
pref_loss: hinge
dataset: dpo_en_demo, other
template: llama3
cutoff_len: 2048
max_samples: 1000
output_dir: saves/llama3-8b/lora/dpo
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 5.0e-6
num_train_epochs: 3.0
lr_scheduler_type: constant_with_warmup
report_to: [tensorboard, wandb]
save_steps: 500
quantization_bit: 4
overwrite_output_dir: true
)");
  INFO(text);
  const Recipe recipe = load_text(text);
  CHECK(recipe.training.objective == "dpo");
  CHECK(recipe.training.preference.loss == PairLoss::kHinge);
  CHECK(recipe.training.preference.beta == 0.2);
  CHECK(recipe.adapter.rank == 8);
  CHECK(recipe.adapter.alpha == 16);  // twice the rank is its default
  CHECK(std::get<std::vector<std::string>>(recipe.adapter.target_modules) ==
        std::vector<std::string>{"q_proj", "v_proj"});
  CHECK(recipe.data.train[1].path == "data/other.json");
  CHECK(recipe.data.chat_template == "llama-3");
  CHECK(recipe.training.lr_schedule == "constant");
  CHECK(recipe.training.checkpoint_every == 500);
  CHECK(recipe.training.batch_size == 8);
  CHECK(recipe.logging == std::vector<std::string>{"tensorboard"});
  CHECK(recipe.model.quantization == "nf4");
  CHECK_THAT(text, Contains("max_samples: 1000") && Contains("do_train: true") && Contains("wandb") &&
                       Contains("overwrite_output_dir: true  (it is an option: lora-train --restart") &&
                       Contains("Where the file is silent and lora-train has another default"));
}

TEST_CASE("a file of TRL becomes a recipe, of the whole network where it does not ask for an adapter") {
  const std::string head = R"(model_name_or_path: Qwen/Qwen2-0.5B
dataset_name: trl-lib/Capybara
learning_rate: 2.0e-4
num_train_epochs: 1
max_steps: -1
packing: true
per_device_train_batch_size: 2
gradient_accumulation_steps: 8
eos_token: <|im_end|>
)";
  const Recipe lora = load_text(converted(head + "use_peft: true\nlora_r: 32\nload_in_4bit: true\n"));
  CHECK(lora.adapter.method == "lora");
  CHECK(lora.adapter.rank == 32);
  CHECK(lora.adapter.alpha == 32);
  CHECK(lora.model.quantization == "nf4");
  CHECK(lora.training.batch_size == 16);
  CHECK(lora.training.epochs == 1.0);
  const std::string whole = converted(head);
  CHECK(load_text(whole).adapter.method == "full");
  CHECK_THAT(whole, Contains("eos_token: ") && Contains("no counterpart"));
}

// Golden: the smallest file of each tool. What it leaves out is as the tool has it.
TEST_CASE("the defaults of axolotl are written into the recipe") {
  CHECK(converted(R"(base_model: /tmp
adapter: qlora
load_in_4bit: true
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets: [{path: /dev/null, type: alpaca}]
micro_batch_size: 2
gradient_accumulation_steps: 4
learning_rate: 1e-4
)") == R"(# a.yaml of axolotl, as a recipe. Its defaults are those of axolotl 0.15.
# Where the file is silent and lora-train has another default, the value says whose it is.
#
# To settle:
#   training.checkpoint_every: axolotl writes one an epoch; --dry-run tells how many steps an epoch has
model:
  path: /tmp
  dtype: bfloat16  # axolotl's default
  quantization: nf4
adapter:
  method: lora
  rank: 16
  alpha: 32
  target_modules: all-linear
data:
  train:
    - {path: /dev/null, format: alpaca}
  overlong: drop  # axolotl's default
training:
  epochs: 1  # axolotl's default
  batch_size: 8
  packing: false  # axolotl's default
  learning_rate: 1e-4
  warmup_ratio: 0.03  # axolotl's default, there for 100 steps at most
  checkpoint_keep: 4  # axolotl's default
output_dir: model-out  # axolotl's default
)");
  const std::string bare = converted(
      "base_model: .\nadapter: lora\ndatasets: [{path: /dev/null, type: completion}]\n"
      "max_steps: 5000\nsaves_per_epoch: 2\nbf16: false\n");
  const Recipe recipe = load_text(bare);
  CHECK(recipe.data.overlong == Overlong::kSplit);
  CHECK(recipe.training.warmup_steps == 100);
  CHECK(recipe.training.batch_size == 1);
  CHECK(recipe.model.dtype == "float32");
  CHECK_THAT(bare, Contains("adapter.rank: axolotl needs lora_r") && Contains("axolotl needs learning_rate") &&
                       Contains("batch_size: 1  # axolotl's default: 1 a pass") && !Contains("epochs:"));
  CHECK(load_text(converted("base_model: .\nmax_steps: 40\ndatasets: [{path: /dev/null}]\n")).training.warmup_steps ==
        2);
  CHECK_THAT(converted("base_model: .\nrl: simpo\ndatasets: [{path: /dev/null}]\n"),
             Contains("preference: {cpo_alpha: 1.0}  # cpo_alpha: axolotl's default"));
}

TEST_CASE("the defaults of LLaMA-Factory are written into the recipe") {
  CHECK(converted(R"(model_name_or_path: /tmp
stage: sft
finetuning_type: lora
lora_rank: 32
dataset: identity
learning_rate: 1.0e-4
eval_strategy: steps
save_steps: 100
save_total_limit: 3
bf16: true
)") == R"(# a.yaml of LLaMA-Factory, as a recipe. Its defaults are those of LLaMA-Factory 0.9.4.
# Where the file is silent and lora-train has another default, the value says whose it is.
#
# To settle:
#   data.train: 'data/identity.json' as a file here: JSON Lines, JSON, CSV, and Parquet where it is built in
model:
  path: /tmp
  dtype: bfloat16
adapter:
  method: lora
  rank: 32
  alpha: 64  # LLaMA-Factory's default: twice the rank
data:
  train:
    - {path: data/identity.json, format: auto}
training:
  epochs: 3  # LLaMA-Factory's default
  max_length: 2048  # LLaMA-Factory's default
  packing: false  # LLaMA-Factory's default
  learning_rate: 1.0e-4
  lr_schedule: linear  # LLaMA-Factory's default
  eval_every: 500  # LLaMA-Factory's default: as logging_steps
  checkpoint_every: 100
  checkpoint_keep: 3
output_dir: trainer_output  # LLaMA-Factory's default
)");
  const std::string head = "model_name_or_path: .\ndataset: a\n";
  const Recipe full = load_text(converted(head + "finetuning_type: full\nbf16: true\nsave_strategy: epoch\n"
                                                 "gradient_accumulation_steps: 4\nlora_rank: 8\n"));
  CHECK(full.adapter.method == "full");
  CHECK(full.model.dtype == "float32");
  CHECK(full.training.learning_rate == 5e-5);
  CHECK(full.training.checkpoint_every == 0);
  CHECK(full.training.batch_size == 32);
  const Recipe pretraining = load_text(converted(head + "stage: pt\nfinetuning_type: lora\n"));
  CHECK(pretraining.training.packing);
  CHECK(pretraining.data.overlong == Overlong::kSplit);
  const std::string pairs = converted(head +
                                      "stage: dpo\nlora_dropout: 0.1\nquantization_bit: 4\n"
                                      "double_quantization: false\npissa_init: true\ndisable_shuffling: true\n");
  const Recipe dpo = load_text(pairs);
  CHECK(dpo.adapter.dropout == 0);
  CHECK(dpo.adapter.init == "pissa_niter_16");
  CHECK_FALSE(dpo.model.double_quantization);
  CHECK_FALSE(dpo.data.shuffle);
  CHECK_THAT(pairs, Contains("lora_dropout: 0.1  (LLaMA-Factory's trainer of dpo switches dropout off)"));
}

TEST_CASE("the defaults of TRL are written into the recipe") {
  CHECK(converted(R"(model_name_or_path: /tmp
dataset_name: /dev/null
use_peft: true
load_in_4bit: true
save_total_limit: 1
)") == R"(# a.yaml of TRL, as a recipe. Its defaults are those of TRL 1.16.
# Where the file is silent and lora-train has another default, the value says whose it is.
#
# To settle:
#   training.objective: the file does not name its trainer; by its keys it is taken for one of trl sft
#
# Left out:
#   use_peft: true  (lora-train sees to it by itself)
model:
  path: /tmp
  dtype: bfloat16  # TRL's default
  quantization: nf4
  double_quantization: false  # TRL's default
adapter:
  method: lora
  rank: 16  # TRL's default
  alpha: 32  # TRL's default
  dropout: 0.05  # TRL's default
  target_modules: [q_proj, v_proj]  # PEFT's default for Llama, Mistral, Qwen and Gemma
data:
  train:
    - {path: /dev/null, format: auto}
  train_on: all  # TRL's default for messages and text; for prompt, completion: assistant
training:
  epochs: 3  # TRL's default
  max_length: 1024  # TRL's default
  packing: false  # TRL's default
  learning_rate: 2.0e-5  # TRL's default
  lr_schedule: linear  # TRL's default
  checkpoint_every: 500  # TRL's default
  checkpoint_keep: 1
output_dir: trainer_output  # TRL's default
)");
  const std::string head = "model_name_or_path: .\ndataset_name: /dev/null\n";
  const std::string lora = head + "use_peft: true\n";
  const Recipe dpo = load_text(converted(lora + "beta: 0.2\nlora_dropout: 0.05\nwarmup_steps: 0.1\n"));
  CHECK(dpo.training.objective == "dpo");
  CHECK(dpo.training.learning_rate == 1e-6);
  CHECK(dpo.training.warmup_ratio == 0.1);
  CHECK(dpo.adapter.dropout == 0);
  CHECK(load_text(converted(lora + "loss_type: hinge\ndisable_dropout: false\nlora_dropout: 0.1\n")).adapter.dropout ==
        0.1);
  const Recipe kto = load_text(converted(lora + "desirable_weight: 1.5\n"));
  CHECK(kto.training.objective == "kto");
  CHECK_FALSE(kto.data.shuffle);
  CHECK(load_text(converted(lora + "center_rewards_coefficient: 0.01\n")).training.learning_rate == 1e-4);
  // The file's word stands, whatever it is.
  const Recipe said = load_text(converted(
      head + "assistant_only_loss: true\npacking: true\nlr_scheduler_type: cosine\nbf16: false\nmax_length: 64\n"));
  CHECK(said.data.train_on == TrainOn::kAssistant);
  CHECK(said.training.packing);
  CHECK(said.training.lr_schedule == "cosine");
  CHECK(said.training.max_length == 64);
  CHECK(said.model.dtype == "float32");
  CHECK(said.training.eval_every == 0);
  CHECK(load_text(converted(lora + "eval_strategy: steps\n")).training.eval_every == 10);
}

TEST_CASE("a default of another tool is one that a recipe takes, and is not lora-train's own") {
  std::set<std::string> seen;
  for (const char* tool : {"axolotl", "LLaMA-Factory", "TRL"}) {
    for (const char* objective : {"causal_lm", "dpo", "simpo", "kto", "reward"}) {
      for (const bool yes : {false, true}) {
        for (const auto& [path, value, comment] : foreign_defaults({tool, objective, yes, yes, yes, yes})) {
          CAPTURE(tool, objective, path, value);
          CHECK(value_problem(path, value) == "");
          const std::string own = own_default(path);
          CHECK(own != value);
          if (is_number(own) && is_number(value)) CHECK(std::stod(own) != std::stod(value));
          CHECK_FALSE(comment.empty());
          seen.insert(path);
        }
      }
    }
  }
  CHECK(seen.size() >= 15);
}

TEST_CASE("a file of another trainer is recognised where a recipe is expected") {
  CHECK(error_of("base_model: m\ndatasets: []\n") ==
        "[recipe] a.yaml: written for axolotl; expected a recipe. lora-train --convert a.yaml prints the one that does "
        "the "
        "same");
  CHECK_THAT(error_of("model_name_or_path: m\ncutoff_len: 3\n"), Contains("written for LLaMA-Factory"));
  CHECK_THAT(error_of("model_name_or_path: m\nuse_peft: true\n"), Contains("written for TRL"));
  CHECK_THROWS_AS(converted(kMinimal), RecipeError);
  CHECK_THROWS_AS(converted("- a\n"), RecipeError);
  // No text of the file leaves its comment, and none is taken that the recipe would refuse.
  const std::string odd =
      converted("base_model: \"a\\nb: c\"\nlearning_rate: -1\nzz: \"x\\ny: z\"\ndatasets: [{path: d}]\n");
  INFO(odd);
  CHECK(load_text(odd).model.path == "a\nb: c");
  CHECK_THAT(odd, Contains("learning_rate: -1  (expected a finite number > 0") && Contains("zz: \"x\\x0Ay: z\""));
}

TEST_CASE("names that no file can have and lists of many data sets come through as they are") {
  const std::string name(300, 'x');
  const std::string text = converted("model_name_or_path: " + name + "\ndataset_name: " + name + "\n");
  CHECK(load_text(text).model.path == name);
  CHECK(load_text(text).data.train[0].path == name);
  CHECK_THAT(text, Contains("hf download " + name));

  std::string list;
  for (int i = 0; i < 12; ++i) list += (i ? ", d" : "d") + std::to_string(i);
  const Recipe recipe = load_text(converted("base_model: m\ndatasets: [" + list + "]\n"));
  REQUIRE(recipe.data.train.size() == 12);
  for (size_t i = 0; i < 12; ++i) CHECK(recipe.data.train[i].path == "d" + std::to_string(i));
}

TEST_CASE("keys that stand deep in a recipe come out in their place, and none is given twice") {
  const std::string text = converted(
      "base_model: m\ndatasets: [d]\ndataset: e\nchar_ngrams: 7\nsim_threshold: 0.5\nmin_length: 3\n"
      "cleaning: {length: {max_chars: 9}}\nloss_type: ['hinge # x']\nbeta: 0.2\n");
  INFO(text);
  const Recipe recipe = load_text(text);
  CHECK(recipe.data.cleaning.near_duplicates.ngram_size == 7);
  CHECK(recipe.data.cleaning.near_duplicates.threshold == 0.5);
  CHECK(recipe.data.cleaning.length.min_chars == 3);
  REQUIRE(recipe.data.train.size() == 1);
  CHECK(recipe.data.train[0].path == "d");
  for (const char* part : {"dataset: e  (another key names the data)", "cleaning: {length: {max_chars: 9}}  (a section",
                           "loss_type: 'hinge # x'  ("}) {
    CHECK_THAT(text, Contains(part));
  }
}

TEST_CASE("a value is judged by itself") {
  CHECK(value_problem("training.learning_rate", "1e-4").empty());
  CHECK_THAT(value_problem("training.learning_rate", "fast"), Contains("expected a number"));
  CHECK_THAT(value_problem("training.lr_schedule", "constant_with_warmup"), Contains("did you mean 'constant'?"));
  CHECK_THAT(value_problem("adapter.init", "x"), Contains("expected one of"));
  CHECK(value_problem("model.dtype", "bfloat16").empty());  // model.path is missing, which is no fault of it
  CHECK_THAT(value_problem("model.dtype", "int3"), Contains("int3"));
}

}  // namespace lora::test
