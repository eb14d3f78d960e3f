#include "lora/adapters/methods/adalora.h"

#include <ATen/ATen.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "lora/adapters/methods/adalora_linear.h"
#include "models/base/error.h"

namespace lora {
namespace {

void expect_room_to_prune(const AdaLoraConfig& config, int64_t initial, int64_t target) {
  const auto refuse = [](const std::string& key, const std::string& reason) {
    throw RecipeError("adapter.adalora." + key + ": " + reason);
  };
  const auto number = [](int64_t value) { return std::to_string(value); };
  if (target >= initial) {
    refuse("target_r", "the modules begin with " + number(initial) + " ranks together and the target is " +
                           number(target) + ", so nothing would be pruned; wanted a target_r below adapter.rank");
  }
  const int64_t last = config.total_step - config.tfinal;
  if (config.tinit >= last) {
    refuse(config.tfinal > config.tinit ? "tfinal" : "tinit",
           "tinit " + number(config.tinit) + " and tfinal " + number(config.tfinal) + " leave none of the run's " +
               number(config.total_step) + " steps to prune in; wanted less of them, or more steps");
  }
  const int64_t first = (config.tinit / config.delta_t + 1) * config.delta_t;
  if (first >= last) {
    refuse("delta_t", "with " + number(config.delta_t) + " no pruning falls between step " + number(config.tinit) +
                          " (tinit) and step " + number(last) + " (tfinal before the end of " +
                          number(config.total_step) +
                          "), so that all of it would be done at once; wanted a smaller delta_t, or more steps");
  }
}

class AdaLoraHooks final : public TrainingHooks {
 public:
  AdaLoraHooks(const Adaptation& adaptation, const AdapterConfig& config, int64_t total_steps)
      : config_(config.adalora), modules_(adaptation.modules) {
    config_.total_step = total_steps;
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

  void after_backward() override {
    const at::NoGradGuard no_grad;
    const double weight = config_.orth_reg_weight / static_cast<double>(2 * layers_.size());
    orth_loss_ = 0;
    for (const auto& layer : layers_) {
      orth_loss_ += weight * add_orthogonality(layer->lora_A, weight);
      orth_loss_ += weight * add_orthogonality(layer->lora_B.t(), layer->lora_B.mutable_grad().t(), weight);
    }
  }

  void after_update(int64_t step) override {
    const at::NoGradGuard no_grad;
    metrics_ = {{"orth_loss", orth_loss_}};
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

  // Adds weight · ∂‖MMᵀ - I‖ to `gradient`, both (r, n), and returns the norm.
  static double add_orthogonality(const at::Tensor& m, at::Tensor gradient, double weight) {
    const at::Tensor off = at::mm(m.detach(), m.detach().t()) - at::eye(m.size(0), gradient.options());
    const double norm = off.norm().item<double>();
    if (norm > 0) gradient.addmm_(off, m.detach(), 1, 2 * weight / norm);
    return norm;
  }
  static double add_orthogonality(at::Tensor& parameter, double weight) {
    return add_orthogonality(parameter, parameter.mutable_grad(), weight);
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
      const double threshold = std::get<0>(at::kthvalue(at::cat(scores), initial_ - budget)).item<double>();
      left = 0;
      for (size_t i = 0; i < layers_.size(); ++i) {
        const at::Tensor drop = scores[i].le(threshold);
        layers_[i]->lora_E.detach().masked_fill_(drop.view({-1, 1}), 0.0);
        left += drop.numel() - drop.sum().item<int64_t>();
      }
    }
    metrics_["rank_budget"] = budget;
    metrics_["rank_total"] = left;
  }

  void note_final_ranks() {
    for (const AdaptedModule& module : modules_) {
      const auto& layer = static_cast<const AdaLoraLinear&>(*module.layer);
      metrics_["rank_pattern"][module.path] = layer.lora_E.count_nonzero().item<int64_t>();
    }
  }

  // From now on nothing is chosen any more: what is zero stays so, and the averages are not needed.
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
  double orth_loss_ = 0;
  nlohmann::ordered_json metrics_ = nlohmann::ordered_json::object();
};

}  // namespace

int64_t adalora_budget(const AdaLoraConfig& config, int64_t initial, int64_t target, int64_t step) {
  const int64_t last = config.total_step - config.tfinal;
  if (step <= config.tinit) return initial;
  if (step >= last) return target;
  const double left = 1 - static_cast<double>(step - config.tinit) / static_cast<double>(last - config.tinit);
  return static_cast<int64_t>(static_cast<double>(initial - target) * std::pow(left, 3.0) +
                              static_cast<double>(target));
}

std::unique_ptr<TrainingHooks> adalora_hooks(const Adaptation& adaptation, const AdapterConfig& config,
                                             int64_t total_steps) {
  return std::make_unique<AdaLoraHooks>(adaptation, config, total_steps);
}

}  // namespace lora
