#include "lora/recipe/checks.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "lora/adapters/initialise.h"
#include "lora/adapters/registry.h"
#include "lora/data/format.h"
#include "lora/export/export.h"
#include "lora/training/objective.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Rules of cleaning that compare a row with all earlier rows.
constexpr std::array kWholeSetRules = {"exact_duplicates", "near_duplicates", "conflicting_answers"};

// What the recipe's text says of a rule; null: nothing.
const YamlNode* cleaning_rule(const YamlNode& root, const char* key) {
  const YamlNode* node = &root;
  for (const char* part : {"data", "cleaning", key}) {
    node = node->find(part);
    if (node == nullptr || node->is(YamlNode::Kind::kNull)) return nullptr;
  }
  return node;
}

class Checker {
 public:
  Checker(const Recipe& recipe, const YamlNode& root, Problems& problems)
      : recipe_(recipe), root_(root), problems_(problems) {}

  void check_adapter() const {
    const AdapterConfig& adapter = recipe_.adapter;
    const auto* targets = std::get_if<std::vector<std::string>>(&adapter.target_modules);
    const Method& method = find_method(adapter.method);
    if (!method.trains_network && targets && targets->empty()) {
      fail(
          "adapter.target_modules",
          "adapter.target_modules: expected a list of names, a regular expression or all-linear, which is the default; "
          "found an empty list",
          {"adapter.target_modules", "adapter.method"});
    }
    if (std::holds_alternative<AllLinear>(adapter.exclude_modules)) {
      fail("adapter.exclude_modules", "adapter.exclude_modules: all-linear would leave nothing to adapt");
    }
    if (!adapter.layers_to_transform.empty() && !targets) {
      fail("adapter.layers_to_transform",
           "adapter.layers_to_transform: only with a list in target_modules; "
           "name the layers in the regular expression, or list the modules",
           {"adapter.layers_to_transform", "adapter.target_modules"});
    }
    if (method.trains_network && recipe_.model.quantization != "none") {
      fail("model.quantization",
           "model.quantization: method " + method.name + " trains the weights themselves, which " +
               recipe_.model.quantization + " freezes; expected none, or an adapter",
           {"model.quantization", "adapter.method"});
    }
    if (!adapter.layers_pattern.empty() && adapter.layers_to_transform.empty()) {
      fail("adapter.layers_pattern", "adapter.layers_pattern: only with layers_to_transform, whose layers it names",
           {"adapter.layers_pattern", "adapter.layers_to_transform"});
    }
    check_method_options(method);
    check_exports();
  }

  void check_data() const {
    if (recipe_.data.train_on == TrainOn::kChosen) {
      fail("data.train_on",
           "data.train_on: chosen is for a source with pairs or labels alone; set it in that source's train_on");
    }
    if (recipe_.data.train.empty()) {
      fail("data.train", "missing key 'train' in 'data'; expected a list of at least one {path: ..., format: ...}");
    }
    check_validation_split();
    check_sources("data.train", recipe_.data.train);
    check_sources("data.validation", recipe_.data.validation);
    check_standard_input();
    check_mixing();
    check_streaming();
    const CleaningConfig& cleaning = recipe_.data.cleaning;
    expect_order("data.cleaning.length", "min_chars", cleaning.length.min_chars, "max_chars",
                 cleaning.length.max_chars);
    expect_order("data.cleaning.answer_ratio", "min_ratio", cleaning.answer_ratio.min_ratio, "max_ratio",
                 cleaning.answer_ratio.max_ratio);
  }

  void check_training() const {
    const TrainingConfig& training = recipe_.training;
    if (training.max_steps && training.epochs) {
      fail("training.epochs", "training.epochs: max_steps is given too; a run ends by one of the two",
           {"training.epochs", "training.max_steps"});
    }
    if (!training.max_steps && !training.epochs) {
      fail("training", "missing key 'max_steps' or 'epochs' in 'training'", {"training.epochs", "training.max_steps"});
    }
    if (training.warmup_steps > 0 && training.warmup_ratio > 0) {
      fail("training.warmup_ratio", "training.warmup_ratio: warmup_steps is given too; expected one of the two",
           {"training.warmup_ratio", "training.warmup_steps"});
    }
    if (training.micro_batch_size.value_or(1) > training.batch_size) {
      fail("training.micro_batch_size",
           "training.micro_batch_size: " + std::to_string(*training.micro_batch_size) +
               " is more than the batch_size of " + std::to_string(training.batch_size),
           {"training.micro_batch_size", "training.batch_size"});
    }
    if (training.early_stopping_patience > 0 && training.eval_every == 0) {
      fail("training.early_stopping_patience",
           "training.early_stopping_patience: counts evaluations during the run, and eval_every asks for none",
           {"training.early_stopping_patience", "training.eval_every"});
    }
    if (training.loraplus_lr_ratio != 1.0 && find_method(recipe_.adapter.method).trains_network) {
      fail("training.loraplus_lr_ratio",
           "training.loraplus_lr_ratio: is between the rates of an adapter's B and A, and method " +
               recipe_.adapter.method + " has none",
           {"training.loraplus_lr_ratio", "adapter.method"});
    }
    check_objective();
    if (training.keep_best) expect_validation("training.keep_best");
    if (training.early_stopping_patience > 0) expect_validation("training.early_stopping_patience");
    if (recipe_.evaluation.exact_match > 0) expect_validation("evaluation.exact_match");
    if (recipe_.evaluation.exact_match > 0 && classifies()) {
      fail("evaluation.exact_match",
           "evaluation.exact_match: a classifier writes no answers; its accuracy is part of every evaluation",
           {"evaluation.exact_match", "model.head"});
    }
  }

 private:
  // Notes a rule that is not kept, at the place of `path`, unless a key that it reads is spoiled.
  void fail(const std::string& path, const std::string& message, const std::vector<std::string>& reads) const {
    if (std::ranges::any_of(reads, [&](const std::string& key) { return problems_.is_spoiled(key); })) return;
    problems_.add(RecipeError(place_of(root_, path) + ": " + message));
  }
  // A rule that reads this key alone.
  void fail(const std::string& path, const std::string& message) const { fail(path, message, {path}); }

  // The objective, and the keys of training.preference that have no part in it.
  void check_objective() const {
    const TrainingConfig& training = recipe_.training;
    const PreferenceConfig &preference = training.preference, plain;
    const std::string& objective = training.objective;
    const auto refuse = [&](const std::string& key, const std::string& reason) {
      fail(key, key + ": " + reason, {key, "training.objective"});
    };
    if (objective == "sequence_classification" || (objective != "causal_lm" && classifies())) {
      return refuse("training.objective", objective + " does not go with model.head " + name_of(recipe_.model.head) +
                                              "; a classifier's objective follows from model.head alone");
    }
    check_best_by();
    const auto is = [&](std::initializer_list<const char*> names) {
      return std::ranges::any_of(names, [&](const char* name) { return objective == name; });
    };
    const auto only_for = [&](const char* key, bool set, std::initializer_list<const char*> names) {
      if (!set || is(names)) return;
      std::string list;
      for (const char* name : names) list += std::string(list.empty() ? "" : ", ") + name;
      refuse("training.preference." + std::string(key),
             "has a part in training.objective " + list + ", found " + objective);
    };
    only_for("beta", preference.beta != plain.beta, {"dpo", "ipo", "orpo", "cpo", "simpo", "kto"});
    only_for("loss", preference.loss != plain.loss, {"dpo", "cpo", "kto"});
    only_for("simpo_gamma", preference.simpo_gamma != plain.simpo_gamma, {"simpo"});
    only_for("cpo_alpha", preference.cpo_alpha.has_value(), {"cpo", "simpo"});
    only_for("desirable_weight", preference.desirable_weight != plain.desirable_weight, {"kto"});
    only_for("undesirable_weight", preference.undesirable_weight != plain.undesirable_weight, {"kto"});
    only_for("sft_weight", preference.sft_weight != plain.sft_weight, {"dpo", "ipo"});
    only_for("center_rewards_coefficient", preference.center_rewards_coefficient != 0, {"reward"});
    only_for("label_smoothing", preference.label_smoothing != 0, {"dpo", "cpo", "simpo"});
    only_for("reference", preference.reference == ReferenceKind::kInitial, {"dpo", "ipo", "kto"});
    only_for("share_prompt", !preference.share_prompt, {"dpo", "ipo", "orpo", "cpo", "simpo", "reward"});
    const bool compares = compares_with_start(training);
    if (compares && preference.reference == ReferenceKind::kNone) {
      refuse("training.preference.reference",
             "objective " + objective + " compares with a reference; orpo, cpo and simpo have none");
    }
    const PairLoss loss = preference.loss;
    if (objective == "cpo" && loss != PairLoss::kSigmoid && loss != PairLoss::kHinge) {
      refuse("training.preference.loss", name_of(loss) + " is not a loss of cpo; expected sigmoid or hinge");
    }
    if (objective == "kto" && loss != PairLoss::kSigmoid && loss != PairLoss::kApoZero) {
      refuse("training.preference.loss",
             name_of(loss) + " is not a loss of kto; expected apo_zero, or to leave it out");
    }
    if (preference.label_smoothing != 0 && objective == "dpo" && loss != PairLoss::kRobust) {
      refuse("training.preference.label_smoothing", "of dpo's losses robust alone has it, found " + name_of(loss));
    }
    if (preference.label_smoothing >= 0.5) {
      refuse("training.preference.label_smoothing", "expected less than 0.5: at a half the pairs say nothing");
    }
    if (objective == "kto" && loss == PairLoss::kSigmoid && training.batch_size < 2) {
      refuse("training.batch_size", "objective kto compares with other rows' answers; expected at least 2");
    }
    if (!learns_preferences(recipe_.data.trains)) return;
    if (recipe_.data.train_on != TrainOn::kAssistant) {
      refuse("data.train_on", "goes with training.objective causal_lm, found " + objective);
    }
    if (recipe_.data.overlong == Overlong::kSplit) {
      refuse("data.overlong",
             "a preferred answer is not split; expected truncate, which cuts the prompt's front, or drop");
    }
    if (recipe_.data.streaming && compares) {
      refuse("data.streaming", "objective " + objective + " computes a reference of all rows before the first step");
    }
    for (size_t i = 0; i < recipe_.exports.size(); ++i) {
      if (!find_objective(objective).rewards || recipe_.exports[i] != "gguf") continue;
      const std::string place = "export." + std::to_string(i);
      fail(place, "export: gguf holds a language model; a reward model is exported as peft or huggingface",
           {place, "training.objective"});
    }
  }

  void check_best_by() const {
    const std::string& by = recipe_.training.best_by;
    const std::vector<std::string_view>& measures = find_objective(recipe_.training.objective).measures;
    if (by == "loss" || std::ranges::count(measures, by) > 0) return;
    std::string list = "loss";
    for (const std::string_view name : measures) list += ", " + std::string(name);
    fail("training.best_by",
         "training.best_by: objective " + recipe_.training.objective + " does not measure '" + by +
             "'; expected one of " + list,
         {"training.best_by", "training.objective"});
  }

  // What the method's row does not allow.
  void check_method_options(const Method& method) const {
    const AdapterConfig& adapter = recipe_.adapter;
    std::vector<std::string> refused;
    const auto refuse = [&](const std::string& key, const std::string& reason) {
      if (std::ranges::count(refused, key) > 0) return;
      refused.push_back(key);
      fail("adapter." + key, "adapter." + key + ": " + reason, {"adapter"});
    };
    const YamlNode* section = root_.find("adapter");
    const YamlNode* use_rslora = section ? section->find("use_rslora") : nullptr;
    const AdapterConfig resolved = resolved_method(adapter);
    if (resolved.use_rslora && use_rslora && use_rslora->text == "false") {
      refuse("use_rslora",
             "false contradicts method " + method.name + "; leave it out, or use method " + resolved.method);
    }
    if (starts_from_base(adapter) && !method.starts_from_base) {
      std::string able;
      for (const Method& other : methods()) {
        if (other.starts_from_base) able += (able.empty() ? "" : " and ") + other.name;
      }
      refuse("init", adapter.init + " is for methods " + able + ", found " + method.name);
    }
    if (adapter.lora_bias && !method.has_lora_bias) refuse("lora_bias", "not with method " + method.name);
    if (adapter.lora_bias && starts_from_base(adapter)) refuse("lora_bias", "not with init " + adapter.init);
    for (const Method& other : methods()) {
      if (other.own_options.section.empty() || other.name == method.name) continue;
      if (other.own_options.are_set(adapter)) refuse(other.own_options.section, "only with method " + other.name);
    }
    if (!method.problem) return;
    if (const auto problem = method.problem(adapter)) refuse(problem->key, problem->reason);
  }

  void check_exports() const {
    for (size_t i = 0; i < recipe_.exports.size(); ++i) {
      const ExportFormat& format = export_format(recipe_.exports[i]);
      const std::string reason = format.refuses ? format.refuses(recipe_.adapter) : "";
      const std::string place = "export." + std::to_string(i);
      if (!reason.empty()) fail(place, "export: " + format.name + ": " + reason, {place, "adapter"});
    }
  }

  void check_standard_input() const {
    std::vector<std::string> places;
    for (const auto& [list, sources] :
         {std::pair{"data.train", &recipe_.data.train}, std::pair{"data.validation", &recipe_.data.validation}}) {
      for (size_t i = 0; i < sources->size(); ++i) {
        if ((*sources)[i].path == "-") places.push_back(std::string(list) + "." + std::to_string(i) + ".path");
      }
    }
    const auto refuse = [&](const std::string& place, const std::string& reason) {
      fail(place, place + ": '-' is standard input, which is read only once; " + reason);
    };
    if (places.size() > 1) return refuse(places[1], places[0] + " reads it already");
    if (places.empty()) return;
    if (recipe_.data.validation_split > 0) {
      return refuse(places[0], "data.validation_split reads the rows twice; expected a file");
    }
    if (classifies())
      return refuse(places[0], "a classifier reads its data twice, first for the labels; expected a file");
    if (places[0].starts_with("data.validation") && recipe_.evaluation.exact_match > 0) {
      refuse(places[0], "evaluation.exact_match reads it again; expected a file");
    }
  }

  bool classifies() const { return recipe_.model.head != Head::kNone; }

  template <typename T>
  void expect_order(const std::string& section, const std::string& low_key, const std::optional<T>& low,
                    const std::string& high_key, const std::optional<T>& high) const {
    if (low.value_or(0) <= high.value_or(std::numeric_limits<T>::max())) return;
    const std::string path = section + "." + high_key;
    fail(path, path + ": is less than " + low_key + ", so that no row would do", {path, section + "." + low_key});
  }

  void expect_validation(const std::string& path) const {
    if (!recipe_.data.validation.empty() || recipe_.data.validation_split > 0) return;
    fail(path, path + ": needs data.validation, which is empty (data.validation_split: 0.1 takes a tenth of the rows)",
         {path, "data.validation", "data.validation_split"});
  }

  void check_validation_split() const {
    if (recipe_.data.validation_split == 0) return;
    const auto refuse = [&](const std::string& reason, const std::string& key) {
      fail("data.validation_split", "data.validation_split: " + reason, {"data.validation_split", key});
    };
    if (!recipe_.data.validation.empty()) {
      refuse("data.validation is given too; expected one of the two", "data.validation");
    }
    if (recipe_.data.streaming) {
      refuse("not with data.streaming, which reads each row once; expected a file in data.validation",
             "data.streaming");
    }
  }

  void check_sources(const std::string& list, const std::vector<DataSource>& sources) const {
    for (size_t i = 0; i < sources.size(); ++i) {
      const std::string path = list + "." + std::to_string(i);
      check_mixed(list == "data.train", path, sources[i]);
      check_format(path, sources[i]);
      const std::vector<std::string> columns = columns_of(sources[i].format);
      for (const auto& [column, name] : sources[i].fields) {
        if (std::ranges::count(columns, column) > 0) continue;
        fail(path + ".fields." + column,
             "unknown key '" + shown(column) + "' in '" + path + ".fields'" + did_you_mean(column, columns) +
                 "; format " + sources[i].format + " has " + joined(columns),
             {path + ".fields", path + ".format"});
      }
    }
  }

  // What the format of a source says; of auto it is known only when the rows are read.
  void check_format(const std::string& path, const DataSource& source) const {
    const Format* format = find_row(formats(), source.format);
    if (format && classifies() != (format->trains == Trains::kLabel)) {
      fail(path + ".format",
           path + ".format: " + source.format + " does not go with model.head " + name_of(recipe_.model.head) +
               "; sequence_classification and format classification do",
           {path + ".format", "model.head"});
      return;
    }
    if (const std::string problem = format ? train_on_problem(*format, source, recipe_.data.trains) : "";
        !problem.empty()) {
      const bool of_format =
          learns_preferences(recipe_.data.trains) ? !source.train_on : format->trains == Trains::kPair;
      const std::string key = path + (of_format ? ".format" : ".train_on");
      fail(key, key + ": " + problem, {path + ".format", path + ".train_on"});
    }
    if (!source.chat_template.empty() && (classifies() || (format && format->turns == Turns::kNever))) {
      fail(path + ".template", path + ".template: format " + source.format + " has no conversation to render",
           {path + ".template", path + ".format", "model.head"});
    }
  }

  void check_mixed(bool train, const std::string& path, const DataSource& source) const {
    const bool concatenated = recipe_.data.mixing.strategy == MixingStrategy::kConcatenate;
    if (source.weight != 1.0 && (concatenated || !train)) {
      fail(path + ".weight",
           path + ".weight: " +
               (train ? "only with data.mixing.strategy weights or temperature; with concatenate, `epochs` says how "
                        "often an epoch passes over a source"
                      : "validation rows are all seen once; expected 1.0"),
           {path + ".weight", "data.mixing.strategy"});
    }
    if (source.epochs != 1.0 && (!concatenated || !train)) {
      fail(path + ".epochs",
           path + ".epochs: " +
               (train ? "only with data.mixing.strategy concatenate; with " + name_of(recipe_.data.mixing.strategy) +
                            ", `weight` says how large a source's share is"
                      : std::string("validation rows are all seen once; expected 1.0")),
           {path + ".epochs", "data.mixing.strategy"});
    }
  }

  void check_mixing() const {
    const MixingConfig& mixing = recipe_.data.mixing;
    if (mixing.temperature != 1.0 && mixing.strategy != MixingStrategy::kTemperature) {
      fail("data.mixing.temperature",
           "data.mixing.temperature: only with strategy temperature, found " + name_of(mixing.strategy),
           {"data.mixing.temperature", "data.mixing.strategy"});
    }
    if (mixing.by != MixingUnit::kSamples && mixing.strategy == MixingStrategy::kConcatenate) {
      fail("data.mixing.by", "data.mixing.by: only with strategy weights or temperature; concatenate has no shares",
           {"data.mixing.by", "data.mixing.strategy"});
    }
  }

  void check_streaming() const {
    const DataConfig& data = recipe_.data;
    if (!data.streaming) {
      if (data.shuffle_buffer == DataConfig{}.shuffle_buffer) return;
      fail("data.shuffle_buffer",
           "data.shuffle_buffer: only with data.streaming; else the whole of the data is shuffled",
           {"data.shuffle_buffer", "data.streaming"});
      return;
    }
    const auto refuse = [&](const std::string& key, const std::string& reason) {
      fail(key, key + ": not with data.streaming, " + reason, {key, "data.streaming"});
    };
    if (recipe_.training.epochs) {
      refuse("training.epochs", "where it is not known beforehand how long an epoch is; expected max_steps");
    }
    if (data.mixing.strategy != MixingStrategy::kConcatenate) {
      refuse("data.mixing.strategy", "which reads sources one after the other; expected concatenate");
    }
    for (size_t i = 0; i < data.train.size(); ++i) {
      if (data.train[i].epochs == 1.0) continue;
      refuse("data.train." + std::to_string(i) + ".epochs", "which passes over every source once; expected 1.0");
    }
    for (const char* key : kWholeSetRules) {
      const YamlNode* rule = cleaning_rule(root_, key);
      const YamlNode* action = rule && rule->is(YamlNode::Kind::kMap) ? rule->find("action") : rule;
      if (!rule || (action && action->text == "off")) continue;
      refuse("data.cleaning." + std::string(key), "which keeps no earlier rows to compare with; expected off");
    }
  }

  const Recipe& recipe_;
  const YamlNode& root_;
  Problems& problems_;
};

}  // namespace

void check_recipe(const Recipe& recipe, const YamlNode& root, Problems& problems) {
  const Checker checker(recipe, root, problems);
  checker.check_adapter();
  checker.check_data();
  checker.check_training();
}

}  // namespace lora
