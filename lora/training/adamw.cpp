#include "lora/training/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace lora {

AdamW::AdamW(const std::vector<ParameterGroup>& groups, const TrainingConfig& config)
    : beta1_(config.adam_beta1),
      beta2_(config.adam_beta2),
      epsilon_(config.adam_epsilon),
      weight_decay_(config.weight_decay) {
  for (const ParameterGroup& source : groups) {
    Group group;
    group.learning_rate = source.learning_rate;
    int64_t total = 0;
    for (const auto& [path, parameter] : source.parameters) {
      group.spans.push_back({path, {total, parameter.numel()}});
      group.shapes.push_back(parameter.sizes().vec());
      total += parameter.numel();
    }
    const auto options = source.parameters.front().second.options().dtype(at::kFloat).requires_grad(false);
    group.values = at::empty({total}, options);
    group.grads = at::zeros({total}, options);
    group.exp_avg = at::zeros({total}, options);
    group.exp_avg_sq = at::zeros({total}, options);
    group.steps = at::zeros({}, options);
    for (size_t i = 0; i < source.parameters.size(); ++i) {
      at::Tensor parameter = source.parameters[i].second;
      const auto [begin, count] = group.spans[i].second;
      const at::Tensor view = group.values.narrow(0, begin, count).view(parameter.sizes());
      view.copy_(parameter.detach());
      parameter.set_data(view);
      // Autograd adds into a gradient that is already there.
      parameter.mutable_grad() = group.grads.narrow(0, begin, count).view(parameter.sizes());
    }
    groups_.push_back(std::move(group));
  }
}

void AdamW::zero_grad() {
  for (Group& group : groups_) group.grads.zero_();
}

at::Tensor AdamW::grad_norm() const {
  // A piece at a time: one float32 sum over millions of small squares comes out too low, by a thousandth at 5 million.
  constexpr int64_t kPiece = 1 << 16;
  at::Tensor sum;
  for (const Group& group : groups_) {
    std::vector<at::Tensor> norms;
    for (const at::Tensor& piece : group.grads.split(kPiece)) norms.push_back(at::linalg_vector_norm(piece));
    const at::Tensor norm = at::linalg_vector_norm(at::stack(norms).to(at::kDouble));
    sum = sum.defined() ? sum + norm * norm : norm * norm;
  }
  return sum.sqrt();
}

std::vector<at::Tensor> AdamW::gradients() const {
  std::vector<at::Tensor> all;
  for (const Group& group : groups_) all.push_back(group.grads);
  return all;
}

void AdamW::clip_grad(double norm, double max_norm) {
  if (max_norm <= 0 || norm <= max_norm) return;
  const double factor = max_norm / (norm + 1e-6);
  for (Group& group : groups_) group.grads.mul_(factor);
}

void AdamW::step(double schedule) {
  const at::NoGradGuard no_grad;
  ++steps_;
  // The kernel divides √v by the root of its bias correction and adds ε then.
  const double epsilon =
      transformers_form_ ? epsilon_ / std::sqrt(1 - std::pow(beta2_, static_cast<double>(steps_))) : epsilon_;
  for (Group& group : groups_) {
    const double rate = group.learning_rate * schedule;
    group.steps.add_(1);
    at::_fused_adamw_({group.values}, {group.grads}, {group.exp_avg}, {group.exp_avg_sq}, /*max_exp_avg_sqs=*/{},
                      {group.steps}, rate, beta1_, beta2_, transformers_form_ ? 0.0 : weight_decay_, epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
    if (transformers_form_ && weight_decay_ > 0) group.values.mul_(1 - rate * weight_decay_);
  }
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Group& group : groups_) {
    for (size_t i = 0; i < group.spans.size(); ++i) {
      const auto& [path, span] = group.spans[i];
      const auto view = [&, &span = span](const at::Tensor& flat) {
        return flat.narrow(0, span.first, span.second).view(group.shapes[i]);
      };
      tensors.emplace_back("exp_avg." + path, view(group.exp_avg));
      tensors.emplace_back("exp_avg_sq." + path, view(group.exp_avg_sq));
    }
  }
  return tensors;
}

void AdamW::set_steps(int64_t steps) {
  steps_ = steps;
  for (Group& group : groups_) group.steps.fill_(static_cast<double>(steps));
}

}  // namespace lora
