#include "lora/adapters/methods/adalora.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lora/adapters/methods/lora.h"
#include "lora/adapters/training_hooks.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/engine/dropout.h"

namespace lora {

// The layer.

AdaLoraLinear::AdaLoraLinear(std::shared_ptr<Linear> base, const LayerOptions& options)
    : AdapterLinear(std::move(base), options.rank, options.alpha),
      pattern(static_cast<size_t>(options.config.rank), false),
      scaling_(options.alpha / (static_cast<double>(options.config.rank) + 1e-5)),
      dropout_(options.config.dropout) {
  std::fill_n(pattern.begin(), options.rank, true);
  const at::Device device = weight_handle().device();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  const at::Tensor q = at::empty({options.rank, in_features()}, at::kFloat).normal_(0.0, 0.02, generator);
  const at::Tensor p = at::empty({out_features(), options.rank}, at::kFloat).normal_(0.0, 0.02, generator);
  lora_A = add_parameter("lora_A", q.to(device), ParameterRole::kA);
  lora_E = add_parameter("lora_E", at::zeros({options.rank, 1}, lora_A.options().requires_grad(false)),
                         ParameterRole::kAdapter);
  lora_B = add_parameter("lora_B", p.to(device), ParameterRole::kB);
}

at::Tensor AdaLoraLinear::forward(const at::Tensor& x) {
  const at::Tensor y = base_layer()->forward(x);
  if (rank() == 0) return y;
  at::Tensor input = x.to(at::kFloat);
  if (dropout_ > 0 && is_training()) input = keyed_dropout(input, dropout_, draw_dropout_key());
  const at::Tensor delta = at::linear(at::linear(input, lora_A * lora_E), lora_B);
  return (y + delta * scaling_).to(y.scalar_type());
}

std::optional<LinearParts> AdaLoraLinear::parts() const {
  std::optional<LinearParts> parts = base_layer()->parts();
  if (!parts || parts->lora_A.defined()) return std::nullopt;
  if (rank() == 0) return parts;
  parts->lora_A = lora_A * lora_E;
  parts->lora_B = lora_B;
  parts->scaling = scaling_;
  parts->dropout = is_training() ? dropout_ : 0.0;
  return parts;
}

at::Tensor AdaLoraLinear::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  if (rank() == 0) return w.clone();
  return at::mm(lora_B, lora_A * lora_E).mul_(scaling_).add_(w).to(w.scalar_type());
}

std::optional<LowRankUpdate> AdaLoraLinear::update() const {
  return LowRankUpdate{(lora_A * lora_E).detach(), lora_B.detach(), scaling_};
}

std::vector<std::pair<std::string, at::Tensor>> AdaLoraLinear::peft_tensors() const {
  return {{"lora_A", lora_A}, {"lora_E", lora_E}, {"lora_B", lora_B}};
}

// In training.

int64_t adalora_budget(const AdaLoraConfig& config, int64_t initial, int64_t target, int64_t step) {
  const int64_t last = config.total_step - config.tfinal;
  if (step <= config.tinit) return initial;
  if (step >= last) return target;
  const double left = 1 - static_cast<double>(step - config.tinit) / static_cast<double>(last - config.tinit);
  return static_cast<int64_t>(static_cast<double>(initial - target) * std::pow(left, 3.0) +
                              static_cast<double>(target));
}

namespace {

void expect_room_to_prune(const AdaLoraConfig& config, int64_t initial, int64_t target) {
  const auto refuse = [](const std::string& key, const std::string& reason) {
    throw RecipeError("adapter.adalora." + key + ": " + reason);
  };
  const auto number = [](int64_t value) { return std::to_string(value); };
  if (target >= initial) {
    refuse("target_r", "the modules begin with " + number(initial) + " ranks together and the target is " +
                           number(target) + ", so nothing would be pruned; expected a target_r below adapter.rank");
  }
  const int64_t last = config.total_step - config.tfinal;
  if (config.tinit >= last) {
    refuse(config.tfinal > config.tinit ? "tfinal" : "tinit",
           "tinit " + number(config.tinit) + " and tfinal " + number(config.tfinal) + " leave none of the run's " +
               number(config.total_step) + " steps to prune in; expected less of them, or more steps");
  }
  const int64_t first = (config.tinit / config.delta_t + 1) * config.delta_t;
  if (first >= last) {
    refuse("delta_t", "with " + number(config.delta_t) + " no pruning falls between step " + number(config.tinit) +
                          " (tinit) and step " + number(last) + " (tfinal before the end of " +
                          number(config.total_step) +
                          "), so that all of it would be done at once; expected a smaller delta_t, or more steps");
  }
}

class AdaLoraHooks final : public TrainingHooks {
 public:
  explicit AdaLoraHooks(const AdaptedModel& adapted) : config_(adapted.config.adalora), modules_(adapted.modules) {
    for (const AdaptedModule& module : modules_) {
      layers_.push_back(std::dynamic_pointer_cast<AdaLoraLinear>(module.layer));
      initial_ += module.layer->rank();
    }
    target_ = config_.target_r * static_cast<int64_t>(modules_.size());
    expect_room_to_prune(config_, initial_, target_);
    for (const AdaptedModule& module : modules_) {
      for (const auto& [name, tensor] : module.layer->peft_tensors()) {
        averages_.push_back(
            {module.path + "." + name, tensor, at::zeros_like(tensor.detach()), at::zeros_like(tensor.detach())});
      }
    }
  }

  void after_backward(Readings& readings) override {
    const at::NoGradGuard no_grad;
    norms_.assign(2 * layers_.size(), 0);
    for (size_t i = 0; i < layers_.size(); ++i) {
      at::Tensor &a = layers_[i]->lora_A, &b = layers_[i]->lora_B;
      readings.add(add_orthogonality(a, a.mutable_grad()), norms_[2 * i]);
      readings.add(add_orthogonality(b.t(), b.mutable_grad().t()), norms_[2 * i + 1]);
    }
  }

  void after_update(int64_t step) override {
    const at::NoGradGuard no_grad;
    double orth_loss = 0;
    for (const double norm : norms_) orth_loss += orthogonality_weight() * norm;
    metrics_ = {{"orth_loss", orth_loss}};
    const int64_t last = config_.total_step - config_.tfinal;
    if (step < last) {
      for (Average& average : averages_) average.update(config_);
      if (step > config_.tinit && step % config_.delta_t == 0)
        prune_to(adalora_budget(config_, initial_, target_, step));
    } else if (step == last) {
      prune_to(target_);
      note_final_ranks();
      settle();
    } else {
      for (size_t i = 0; i < layers_.size(); ++i) layers_[i]->lora_E.detach().masked_fill_(pruned_[i], 0.0);
    }
  }

  nlohmann::ordered_json metrics() const override { return metrics_; }

  void resume(int64_t step) override {
    if (step >= config_.total_step - config_.tfinal) settle();
  }

  std::vector<std::pair<std::string, at::Tensor>> state() const override {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const Average& average : averages_) {
      tensors.emplace_back("exp_avg_ipt." + average.name, average.sensitivity);
      tensors.emplace_back("exp_avg_unc." + average.name, average.uncertainty);
    }
    return tensors;
  }

 private:
  // Moving averages over the entries of one parameter.
  struct Average {
    std::string name;
    at::Tensor parameter, sensitivity, uncertainty;

    void update(const AdaLoraConfig& config) {
      const at::Tensor now = (parameter.detach() * parameter.grad()).abs_();
      sensitivity.mul_(config.beta1).add_(now, 1 - config.beta1);
      uncertainty.mul_(config.beta2).add_(now.sub_(sensitivity).abs_(), 1 - config.beta2);
    }
    at::Tensor score() const { return sensitivity * uncertainty; }
  };

  // Of each of the two norms a layer.
  double orthogonality_weight() const { return config_.orth_reg_weight / static_cast<double>(2 * layers_.size()); }

  // Adds weight · ∂‖MMᵀ - I‖ to `gradient`, both (r, n), and returns the norm ().
  at::Tensor add_orthogonality(const at::Tensor& m, const at::Tensor& gradient) const {
    const double weight = orthogonality_weight();
    at::Tensor off = at::mm(m.detach(), m.detach().t()) - at::eye(m.size(0), gradient.options());
    at::Tensor norm = off.norm();
    if (norm.is_cpu()) {
      const auto value = norm.item<double>();
      if (value > 0) gradient.addmm_(off, m.detach(), 1, 2 * weight / value);
    } else {  // without waiting for the norm
      const at::Tensor factor = at::where(norm > 0, 2 * weight / norm, at::zeros_like(norm));
      gradient.addmm_(off.mul_(factor), m.detach());
    }
    return norm;
  }

  // A triplet's score: that of its Λ, and the means over its row of Q and its column of P (eq. 7).
  at::Tensor scores_of(size_t layer) const {
    const Average *q = &averages_[3 * layer], *lambda = q + 1, *p = q + 2;
    return lambda->score().view(-1) + (q->score().mean(1) + p->score().mean(0));
  }

  void prune_to(int64_t budget) {
    std::vector<at::Tensor> scores;
    for (size_t i = 0; i < layers_.size(); ++i) scores.push_back(scores_of(i));
    int64_t left = initial_;
    if (budget < initial_) {
      const at::Tensor threshold = std::get<0>(at::kthvalue(at::cat(scores), initial_ - budget));
      std::vector<at::Tensor> dropped;
      for (size_t i = 0; i < layers_.size(); ++i) {
        const at::Tensor drop = scores[i].le(threshold);
        layers_[i]->lora_E.detach().masked_fill_(drop.view({-1, 1}), 0.0);
        dropped.push_back(drop.sum());
      }
      for (const int64_t count : read_counts(dropped)) left -= count;
    }
    metrics_["rank_budget"] = budget;
    metrics_["rank_total"] = left;
  }

  void note_final_ranks() {
    std::vector<at::Tensor> ranks;
    for (const auto& layer : layers_) ranks.push_back(layer->lora_E.count_nonzero());
    const std::vector<int64_t> read = read_counts(ranks);
    for (size_t i = 0; i < read.size(); ++i) metrics_["rank_pattern"][modules_[i].path] = read[i];
  }

  // Waits for a device once.
  static std::vector<int64_t> read_counts(const std::vector<at::Tensor>& counts) {
    std::vector<double> values(counts.size());
    Readings readings;
    for (size_t i = 0; i < counts.size(); ++i) readings.add(counts[i], values[i]);
    readings.read();
    return {values.begin(), values.end()};
  }

  // From now on nothing is pruned: what is zero stays zero, and the averages are not needed.
  void settle() {
    averages_.clear();
    pruned_.clear();
    for (const auto& layer : layers_) pruned_.push_back(layer->lora_E.detach().eq(0));
  }

  AdaLoraConfig config_;
  std::vector<AdaptedModule> modules_;
  std::vector<std::shared_ptr<AdaLoraLinear>> layers_;
  int64_t initial_ = 0, target_ = 0;
  std::vector<Average> averages_;   // of Q, Λ and P of each layer in turn; none once settled
  std::vector<at::Tensor> pruned_;  // (r, 1) bool, one a layer; none until settled
  std::vector<double> norms_;       // ‖MMᵀ - I‖ of Q and P of each layer, of the step
  nlohmann::ordered_json metrics_ = nlohmann::ordered_json::object();
};

// In files.

constexpr const char* kRankSuffix = ".lora_E";

const AdaLoraLinear& adalora_layer(const AdaptedModule& module) {
  return dynamic_cast<const AdaLoraLinear&>(*module.layer);
}

// The rows that count: (n) int64.
at::Tensor kept_rows(const AdaLoraLinear& layer) { return layer.lora_E.detach().view(-1).nonzero().view(-1); }

bool untrained(const AdaptedModel& adapted) {
  return std::ranges::all_of(adapted.modules,
                             [](const AdaptedModule& module) { return kept_rows(adalora_layer(module)).numel() == 0; });
}

void write_adalora_config(nlohmann::ordered_json& file, const AdaptedModel& adapted) {
  const AdapterConfig& config = adapted.config;
  const AdaLoraConfig& adalora = config.adalora;
  file["r"] = 8;  // not used, and PEFT warns of any other value
  file["init_r"] = config.rank;
  file["target_r"] = adalora.target_r;
  file["tinit"] = adalora.tinit;
  file["tfinal"] = adalora.tfinal;
  file["deltaT"] = adalora.delta_t;
  file["beta1"] = adalora.beta1;
  file["beta2"] = adalora.beta2;
  file["orth_reg_weight"] = adalora.orth_reg_weight;
  file["total_step"] = adalora.total_step;
  file["rank_pattern"] = nullptr;
  // PEFT warns of every file that has the key, so only one that needs it does.
  const bool whole = std::ranges::all_of(adapted.modules, [](const AdaptedModule& module) {
    return std::ranges::count(adalora_layer(module).pattern, false) == 0;
  });
  if (config.rank_pattern.empty() || whole) return;
  for (const AdaptedModule& module : adapted.modules) {
    file["rank_pattern"][module.path + kRankSuffix] = adalora_layer(module).pattern;
  }
}

void take_adalora_config(nlohmann::ordered_json& file, AdapterConfig& config) {
  const auto take = [&](const char* key, auto& value) {
    if (file.contains(key) && !file[key].is_null()) {
      if constexpr (std::is_same_v<decltype(value), int64_t&>) {
        value = integer_of(file[key]);
      } else {
        file[key].get_to(value);
      }
    }
    file.erase(key);
  };
  AdaLoraConfig& adalora = config.adalora;
  config.rank = 12;
  take("init_r", config.rank);
  take("target_r", adalora.target_r);
  take("tinit", adalora.tinit);
  take("tfinal", adalora.tfinal);
  take("deltaT", adalora.delta_t);
  take("beta1", adalora.beta1);
  take("beta2", adalora.beta2);
  take("orth_reg_weight", adalora.orth_reg_weight);
  take("total_step", adalora.total_step);
  std::map<std::string, std::vector<bool>> masks;
  take("rank_pattern", masks);
  for (const auto& [name, mask] : masks) {
    const std::string where = config.file + ": 'rank_pattern': '" + name + "'";
    if (!name.ends_with(kRankSuffix)) throw ModelError(where + " does not end in " + kRankSuffix);
    if (static_cast<int64_t>(mask.size()) != config.rank) {
      throw ModelError(where + " has " + std::to_string(mask.size()) + " entries; expected init_r, " +
                       std::to_string(config.rank));
    }
    config.rank_pattern.emplace_back(name.substr(0, name.size() - std::string_view(kRankSuffix).size()),
                                     std::ranges::count(mask, true));
  }
  file.erase("r");
  file.erase("alpha_pattern");  // PEFT's AdaLoRA has one α for all
}

AdaptedModel pruned_adalora(const AdaptedModel& adapted) {
  const at::NoGradGuard no_grad;
  AdaptedModel form = unattached(adapted);
  if (untrained(adapted)) return form;
  form.config.rank_pattern.clear();
  for (AdaptedModule& module : form.modules) {
    const AdaLoraLinear& full = adalora_layer(module);
    const at::Tensor rows = kept_rows(full);
    const auto layer = std::make_shared<AdaLoraLinear>(
        full.base_layer(),
        LayerOptions{.config = adapted.config, .rank = rows.numel(), .alpha = full.alpha(), .seed = 0});
    layer->lora_A.copy_(full.lora_A.index_select(0, rows));
    layer->lora_E.copy_(full.lora_E.index_select(0, rows));
    layer->lora_B.copy_(full.lora_B.index_select(1, rows));
    // Places among the first ranks, of which `full` may itself hold only some.
    std::vector<size_t> places;
    for (size_t i = 0; i < full.pattern.size(); ++i) {
      if (full.pattern[i]) places.push_back(i);
    }
    layer->pattern.assign(full.pattern.size(), false);
    for (int64_t i = 0; i < rows.numel(); ++i) {
      layer->pattern[places[static_cast<size_t>(rows[i].item<int64_t>())]] = true;
    }
    form.config.rank_pattern.emplace_back(module.path, rows.numel());
    module.layer = layer;
  }
  return form;
}

AdaptedModel adalora_as_lora(const AdaptedModel& adapted) {
  const at::NoGradGuard no_grad;
  AdaptedModel form = unattached(adapted);
  form.modules.clear();
  form.config.method = "lora";
  form.config.adalora = {};
  form.config.exclude_modules = std::vector<std::string>{};
  form.config.layers_to_transform.clear();
  form.config.rank_pattern.clear();
  const bool whole = untrained(adapted);
  std::vector<std::string> targets;
  for (const AdaptedModule& module : adapted.modules) {
    const AdaLoraLinear& layer = adalora_layer(module);
    const auto options = at::TensorOptions(at::kLong).device(layer.lora_A.device());
    const at::Tensor rows = whole ? at::arange(layer.rank(), options) : kept_rows(layer);
    if (rows.numel() == 0) continue;
    const double alpha = layer.scaling() * static_cast<double>(rows.numel());
    const auto plain = std::make_shared<LoraLinear>(
        layer.base_layer(), LayerOptions{.config = form.config, .rank = rows.numel(), .alpha = alpha, .seed = 0});
    plain->lora_A.copy_((layer.lora_A * layer.lora_E).index_select(0, rows));
    plain->lora_B.copy_(layer.lora_B.index_select(1, rows));
    form.modules.push_back({module.path, plain, module.host});
    targets.push_back(module.path);
    form.config.rank_pattern.emplace_back(module.path, rows.numel());
    form.config.alpha_pattern.emplace_back(module.path, alpha);
  }
  form.config.target_modules = targets;
  return form;
}

std::optional<OptionProblem> adalora_problem(const AdapterConfig& config) {
  const auto problem = [](const char* key, const std::string& reason) { return OptionProblem{key, reason}; };
  if (config.use_rslora) return problem("use_rslora", "not with method adalora, which has a scaling of its own");
  if (config.adalora.target_r >= config.rank) {
    return problem("adalora.target_r",
                   "expected less than adapter.rank, the rank that AdaLoRA begins with, for there to be something to "
                   "prune; found " +
                       std::to_string(config.adalora.target_r) + " and a rank of " + std::to_string(config.rank) +
                       " (PEFT has 8 and 12)");
  }
  if (!config.rank_pattern.empty()) {
    return problem("rank_pattern", "not with method adalora, which finds the ranks itself");
  }
  if (!config.alpha_pattern.empty()) {
    return problem("alpha_pattern", "not with method adalora, which has one alpha for all");
  }
  if (config.init != AdapterConfig{}.init) {
    return problem("init", "not with method adalora, which has initial values of its own");
  }
  return std::nullopt;
}

}  // namespace

Method adalora_method() {
  return {.name = "adalora",
          .own_options = {"adalora", [](const AdapterConfig& config) { return config.adalora != AdaLoraConfig{}; }},
          .problem = adalora_problem,
          .wrap = wrap<AdaLoraLinear>,
          .hooks = [](AdaptedModel& adapted, int64_t total_steps) -> std::unique_ptr<TrainingHooks> {
            adapted.config.adalora.total_step = total_steps;
            return std::make_unique<AdaLoraHooks>(adapted);
          },
          .follows_run_length = true,
          .compared_rank = [](const AdapterConfig& config) { return config.adalora.target_r; },
          .peft_type = "ADALORA",
          .file_parts = {{"lora_A", "A"}, {"lora_E", "E"}, {"lora_B", "B"}},
          .write_config = write_adalora_config,
          .take_config = take_adalora_config,
          .finished = pruned_adalora,
          .as_lora = adalora_as_lora};
}

}  // namespace lora
