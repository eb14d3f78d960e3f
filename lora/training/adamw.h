#pragma once
// AdamW (Loshchilov & Hutter 2019) with PyTorch's order of operations, over one flat buffer a parameter group: one
// kernel a group for the update, one for the gradient's norm.

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "lora/training/config.h"
#include "lora/training/parameter_groups.h"

namespace lora {

class AdamW {
 public:
  // Moves the parameters' values, and their gradients from now on, into flat float32 buffers; the tensors that the
  // model holds become views of these, and keep them alive.
  AdamW(const std::vector<ParameterGroup>& groups, const TrainingConfig& config);

  // The form that transformers' AdamW had, and PEFT's LoRA-FA optimizer has: ε is added to √v before v's bias is
  // corrected, and the weights decay after the update instead of before.
  void use_transformers_form() { transformers_form_ = true; }

  void zero_grad();
  // All gradients, one flat tensor a parameter group; they alias the optimizer's own.
  std::vector<at::Tensor> gradients() const;
  // The 2-norm over all gradients, as it is now: () float64. A device is not waited for.
  at::Tensor grad_norm() const;
  // Scales all gradients, whose 2-norm is `norm`, to at most `max_norm`, as torch.nn.utils.clip_grad_norm_ does. 0
  // means no clipping.
  void clip_grad(double norm, double max_norm);
  // One update; each group's rate is multiplied by `schedule`.
  void step(double schedule);

  // Moments under "exp_avg.PATH" and "exp_avg_sq.PATH", as views: what a checkpoint needs besides
  // the number of steps.
  std::vector<std::pair<std::string, at::Tensor>> state() const;
  void set_steps(int64_t steps);

 private:
  struct Group {
    double learning_rate;
    at::Tensor values, grads, exp_avg, exp_avg_sq;  // (total) float32
    at::Tensor steps;                               // () float32, as the fused kernel expects it
    std::vector<std::pair<std::string, std::pair<int64_t, int64_t>>> spans;  // path -> [begin, count)
    std::vector<std::vector<int64_t>> shapes;
  };
  std::vector<Group> groups_;
  int64_t steps_ = 0;
  bool transformers_form_ = false;
  double beta1_, beta2_, epsilon_, weight_decay_;
};

}  // namespace lora
