#pragma once
// Valid recipes at random, with the values that are hard to write down.

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/initialise.h"
#include "lora/recipe/recipe.h"

namespace lora::test {

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

}  // namespace lora::test
