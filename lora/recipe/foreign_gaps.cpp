// What a tool does where its file is silent.

#include <algorithm>

#include "lora/recipe/foreign_defaults.h"
#include "lora/recipe/foreign_file.h"

namespace lora {
namespace {

std::string objective_of(const ForeignFile& file) {
  const std::string named = file.recipe.value("training.objective");
  return named.empty() ? "causal_lm" : named;
}

bool trains_network(const ForeignFile& file) { return file.recipe.value("adapter.method") == "full"; }

bool warms_up(const ForeignFile& file) {
  return file.said.contains("training.warmup_steps") || file.said.contains("training.warmup_ratio");
}

// A file of TRL does not name its trainer, as `trl dpo --config FILE` does.
void settle_objective(ForeignFile& file) {
  if (file.tool != "TRL") return;
  if (file.given("center_rewards_coefficient")) file.recipe.set("training.objective", "reward");
  if (file.given("desirable_weight") || file.given("undesirable_weight")) {
    file.recipe.set("training.objective", "kto");
  }
  const std::string objective = objective_of(file);
  file.recipe.settle("training.objective: the file does not name its trainer; by its keys it is taken for one of trl " +
                     (objective == "causal_lm" ? "sft" : objective));
}

void settle_batch(ForeignFile& file) {
  if (file.recipe.has("training.batch_size")) return;  // axolotl's, of a whole step
  const ForeignBatch otherwise = foreign_batch(file.tool);
  const std::string size = std::to_string(file.rows.value_or(otherwise.rows) * file.passes.value_or(otherwise.passes));
  if (!file.rows && size == own_default("training.batch_size")) return;
  file.recipe.put("training.batch_size", size, "gradient_accumulation_steps");
  const std::string comment = file.tool + "'s default: " + std::to_string(otherwise.rows) + " a pass";
  if (!file.rows && file.recipe.has("training.batch_size")) file.recipe.set("training.batch_size", size, comment);
}

// Without the word, axolotl trains the network; TRL does so without use_peft.
void settle_method(ForeignFile& file) {
  const YamlNode* adapter = file.given("adapter");
  if (file.tool == "axolotl" && (!adapter || says_nothing(*adapter))) file.recipe.set("adapter.method", "full");
  if (file.tool == "TRL" && !file.asks_for("use_peft")) file.recipe.set("adapter.method", "full");
  if (trains_network(file)) return file.recipe.erase_adapter();
  file.recipe.set_once("adapter.method", "lora");
  if (file.said.contains("adapter.init_from")) return;  // the adapter's own file says the rest
  const bool has_rank = file.recipe.has("adapter.rank"), has_alpha = file.said.contains("adapter.alpha");
  if (file.tool == "LLaMA-Factory" && has_rank && !has_alpha) {
    const int64_t rank = std::stoll(file.recipe.value("adapter.rank"));
    file.recipe.set("adapter.alpha", std::to_string(2 * rank), "LLaMA-Factory's default: twice the rank");
  }
}

// What axolotl does not train without.
void settle_what_is_missing(ForeignFile& file) {
  if (file.tool != "axolotl") return;
  const auto ask_for = [&](const char* path, const char* keys) {
    if (file.said.contains(path)) return;
    file.recipe.settle(std::string(path) + ": axolotl needs " + keys + ", which the file lacks; without it, it is " +
                       own_default(path));
  };
  ask_for("training.learning_rate", "learning_rate");
  if (trains_network(file) || file.said.contains("adapter.init_from")) return;
  ask_for("adapter.rank", "lora_r");
  ask_for("adapter.alpha", "lora_alpha");
  ask_for("adapter.target_modules", "lora_target_modules or lora_target_linear");
}

// LLaMA-Factory and TRL keep what is trained in float32, and compute it in bfloat16 by autocast.
void settle_dtype(ForeignFile& file) {
  if (file.recipe.has("model.dtype")) return;
  const bool is_pure = file.asks_for("bfloat16") || file.asks_for("pure_bf16");
  const bool is_half = file.asks_for("fp16") || file.asks_for("float16");
  const YamlNode* bf16 = file.given("bf16");
  const bool by_default = !bf16 && !is_half && !is_pure && file.tool != "LLaMA-Factory";
  if (trains_network(file) && file.tool != "axolotl" && !is_pure) {
    file.recipe.set("model.dtype", "float32", file.tool + " keeps what it trains in float32");
  } else if (by_default) {
    file.recipe.set("model.dtype", "bfloat16", file.tool + "'s default");
  } else if (is_pure || (bf16 && !says_nothing(*bf16))) {
    file.recipe.set("model.dtype", "bfloat16");
  } else if (!is_half && file.tool != "LLaMA-Factory") {
    file.recipe.set("model.dtype", "float32");
  }
}

// eval_steps is logging_steps, where the file only says that steps count.
void settle_evaluation(ForeignFile& file) {
  for (const char* key : {"eval_strategy", "evaluation_strategy"}) {
    const YamlNode* strategy = file.given(key);
    if (!strategy || strategy->text != "steps" || file.said.contains("training.eval_every")) continue;
    const YamlNode* logging = file.given("logging_steps");
    const int64_t steps = logging ? count_in(*logging, 0) : file.tool == "TRL" ? 10 : 500;
    if (file.tool == "axolotl" || steps < 1) continue;
    file.recipe.set("training.eval_every", std::to_string(steps), file.tool + "'s default: as logging_steps");
  }
}

void settle_checkpoints(ForeignFile& file) {
  if (file.tool == "axolotl") {
    if (!file.said.contains("training.checkpoint_every")) {
      file.recipe.settle(
          "training.checkpoint_every: axolotl writes one an epoch; --dry-run tells how many steps an epoch has");
    }
  } else if (!file.said.contains("training.checkpoint_keep")) {
    file.recipe.settle("training.checkpoint_keep: " + file.tool + " keeps every checkpoint; here the newest " +
                       own_default("training.checkpoint_keep") + " are kept");
  }
}

// Where the number of steps is known, axolotl's share of them is one of at most 100, and not 1.
void settle_warmup(ForeignFile& file) {
  if (file.tool != "axolotl" || warms_up(file) || !file.recipe.has("training.max_steps")) return;
  const int64_t steps = std::min<int64_t>(3 * std::stoll(file.recipe.value("training.max_steps")) / 100, 100);
  file.said.insert("training.warmup_steps");
  if (steps == 0) return;
  file.recipe.set("training.warmup_steps", std::to_string(std::max<int64_t>(steps, 2)),
                  "axolotl's default: 3 % of the steps");
}

// Trainers of preferences switch dropout off, and all but LLaMA-Factory's do so for rewards.
void settle_dropout(ForeignFile& file) {
  const std::string objective = objective_of(file);
  const bool is_off = objective != "causal_lm" && !file.refuses("disable_dropout") &&
                      (objective != "reward" || file.tool != "LLaMA-Factory");
  if (!is_off || !file.recipe.has("adapter.dropout")) return;
  file.recipe.leave_out("lora_dropout", file.recipe.value("adapter.dropout"),
                        file.tool + "'s trainer of " + objective + " switches dropout off");
  file.recipe.erase("adapter.dropout");
}

void take_defaults(ForeignFile& file) {
  const YamlNode* stage = file.given("stage");
  const bool is_text = file.recipe.has("data.train.0") && !file.has_prompts;
  const bool is_bounded = file.recipe.has("training.max_steps");
  const ForeignSettings settings = {
      .tool = file.tool,
      .objective = objective_of(file),
      .has_adapter = !trains_network(file) && !file.said.contains("adapter.init_from"),
      .in_four_bits = file.recipe.value("model.quantization") == "nf4",
      .of_plain_text = file.tool == "axolotl" ? is_text : stage && stage->text == "pt",
      .is_streamed = file.recipe.value("data.streaming") == "true",
  };
  for (const auto& [path, value, comment] : foreign_defaults(settings)) {
    const bool is_settled = (path == "training.epochs" && is_bounded) ||
                            (path == "training.warmup_ratio" && warms_up(file)) || file.said.contains(path);
    if (!is_settled) file.recipe.set_once(path, value, comment);
  }
  if (is_bounded) file.recipe.erase("training.epochs");
}

}  // namespace

void fill_gaps(ForeignFile& file) {
  settle_objective(file);
  settle_batch(file);
  settle_method(file);
  settle_dtype(file);
  settle_evaluation(file);
  settle_checkpoints(file);
  settle_warmup(file);
  settle_dropout(file);
  settle_what_is_missing(file);
  take_defaults(file);
}

}  // namespace lora
