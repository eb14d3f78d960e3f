#include "lora/recipe/idle_keys.h"

#include <algorithm>
#include <utility>

#include "lora/adapters/registry.h"
#include "lora/training/schedules.h"

namespace lora {
namespace {

// Whether the tree has this key with a value of its own.
bool is_given(const YamlNode& root, const std::string& path) {
  const YamlNode* node = &root;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    node = node->find(path.substr(begin, dot - begin));
    if (!node || node->is(YamlNode::Kind::kNull)) return false;
    begin = dot + 1;
  }
  return true;
}

class IdleKeys {
 public:
  explicit IdleKeys(const YamlNode& root) : root_(root) {}

  // `paths` have no effect for this reason; each counts if `set` says so and the recipe has it.
  void add(const std::string& reason, const std::vector<std::pair<std::string, bool>>& paths) {
    std::string keys, place;
    for (const auto& [path, set] : paths) {
      if (!set || !is_given(root_, path)) continue;
      if (keys.empty()) place = place_of(root_, path);
      keys += (keys.empty() ? "" : ", ") + path;
    }
    if (keys.empty()) return;
    const bool several = keys.find(',') != std::string::npos;
    lines_.push_back(place + ": " + keys + (several ? " have" : " has") + " no effect: " + reason);
  }

  std::vector<std::string> take() { return std::move(lines_); }

 private:
  const YamlNode& root_;
  std::vector<std::string> lines_;
};

void add_of_adapter(const Recipe& recipe, IdleKeys& idle) {
  const AdapterConfig &adapter = recipe.adapter, plain;
  if (find_method(adapter.method).trains_network) {
    // Also at their defaults: nobody writes them but for an adapter.
    idle.add("method " + adapter.method + " trains all weights of the network and has no adapter",
             {{"adapter.rank", true},
              {"adapter.alpha", true},
              {"adapter.target_modules", true},
              {"adapter.dropout", adapter.dropout != plain.dropout},
              {"adapter.rank_pattern", !adapter.rank_pattern.empty()},
              {"adapter.alpha_pattern", !adapter.alpha_pattern.empty()},
              {"adapter.modules_to_save", !adapter.modules_to_save.empty()},
              {"adapter.ensure_weight_tying", adapter.ensure_weight_tying != plain.ensure_weight_tying}});
  }
  idle.add("it is about the file of init_from, and there is none",
           {{"adapter.ignored_options", !adapter.ignored_options.empty() && adapter.init_from.empty()}});
}

void add_of_model(const ModelSection& model, IdleKeys& idle) {
  idle.add("it is of quantization nf4, found " + model.quantization,
           {{"model.double_quantization", !model.double_quantization && model.quantization != "nf4"}});
  idle.add(
      "there are no new_tokens",
      {{"model.new_tokens_init", model.new_tokens.empty() && model.new_tokens_init != ModelSection{}.new_tokens_init}});
}

void add_of_data(const Recipe& recipe, IdleKeys& idle) {
  const DataConfig &data = recipe.data, plain;
  idle.add("on_error fail ends at the first row that cannot be used",
           {{"data.max_errors", data.on_error == OnError::kFail && data.max_errors != plain.max_errors}});
  if (recipe.model.head != Head::kNone) {
    idle.add("a classifier reads texts and their labels, and writes no answers",
             {{"data.template", data.chat_template != plain.chat_template},
              {"data.train_on", data.train_on != plain.train_on},
              {"data.overlong", data.overlong != plain.overlong},
              {"data.allow_special_tokens", data.allow_special_tokens}});
  }
  const LengthBoundsConfig& length = data.cleaning.length;
  idle.add("the rule has neither min_chars nor max_chars",
           {{"data.cleaning.length", !length.min_chars && !length.max_chars && length.action == RuleAction::kDrop}});
  const AnswerRatioConfig& ratio = data.cleaning.answer_ratio;
  idle.add("the rule has neither min_ratio nor max_ratio",
           {{"data.cleaning.answer_ratio", !ratio.min_ratio && !ratio.max_ratio && ratio.action == RuleAction::kDrop}});
}

bool falls(const TrainingConfig& training) {
  TrainingConfig plain;
  plain.lr_schedule = training.lr_schedule;
  return Schedule(plain, 1)(1) < 1;
}

void add_of_training(const Recipe& recipe, IdleKeys& idle) {
  const TrainingConfig& training = recipe.training;
  idle.add("lr_schedule " + training.lr_schedule + " does not fall",
           {{"training.min_lr_ratio", training.min_lr_ratio > 0 && !falls(training)}});
  idle.add("micro_batch_size says how large a pass is",
           {{"training.memory_limit", training.micro_batch_size.has_value()}});
  const EvaluationConfig &evaluation = recipe.evaluation, plain;
  const bool none = evaluation.exact_match == 0;
  idle.add("exact_match is 0, so that no row is answered",
           {{"evaluation.show", none && evaluation.show != plain.show},
            {"evaluation.max_new_tokens", none && evaluation.max_new_tokens != plain.max_new_tokens}});
}

}  // namespace

std::vector<std::string> idle_keys(const Recipe& recipe, const YamlNode& root, bool one_of_several) {
  IdleKeys idle(root);
  add_of_model(recipe.model, idle);
  add_of_adapter(recipe, idle);
  add_of_data(recipe, idle);
  add_of_training(recipe, idle);
  idle.add("the recipe has no list of adapters",
           {{"distributed.by", recipe.distributed.by == DealtOut::kAdapters && !one_of_several}});
  return idle.take();
}

}  // namespace lora
