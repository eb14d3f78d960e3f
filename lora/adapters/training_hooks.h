#pragma once
// How a method takes part in a training step beyond the gradients of its parameters. The trainer calls these in the
// order in which they stand here; most methods need none of it and have no hooks.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/engine/readings.h"

namespace lora {

class TrainingHooks {
 public:
  virtual ~TrainingHooks() = default;

  // The step's backward passes are done: adds the gradient of the method's own loss term to those of the parameters. Numbers
  // that it has to know of the step are read by `readings` before the next call, with the step's own.
  virtual void after_backward(Readings& /*readings*/) {}
  // The gradients are clipped, the optimizer's update is next: may change them.
  virtual void before_update() {}
  // `step` updates are done. Parameters may be changed; the gradients are those that the last update used.
  virtual void after_update(int64_t /*step*/) {}
  // What this step adds to its row of metrics.jsonl: an object.
  virtual nlohmann::ordered_json metrics() const;

  // Goes on after `step` updates. The caller fills the parameters and then state() before the next step.
  virtual void resume(int64_t /*step*/) {}
  // What decides the steps to come besides the parameters, by name; the tensors alias the method's own.
  virtual std::vector<std::pair<std::string, at::Tensor>> state() const { return {}; }

  // Whether AdamW takes the form it had in transformers; see AdamW::use_transformers_form.
  virtual bool wants_transformers_adamw() const { return false; }
};

}  // namespace lora
