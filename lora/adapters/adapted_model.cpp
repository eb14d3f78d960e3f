#include "lora/adapters/adapted_model.h"

#include <algorithm>

#include "models/base/error.h"

namespace lora {

struct AdapterSwitch {
  // A parameter that is trained whole, with the side of it that is not in the network: the base's while the adapter is
  // on, else the adapter's.
  struct Whole {
    at::Tensor parameter;
    at::Tensor values, grad;
    bool requires_grad;
  };
  bool on;
  std::vector<Whole> wholes;
};

namespace {

void exchange(AdapterSwitch::Whole& whole) {
  at::Tensor values = whole.parameter.detach();
  at::Tensor grad = std::exchange(whole.parameter.mutable_grad(), at::Tensor());
  const bool requires_grad = whole.parameter.requires_grad();
  whole.parameter.set_data(whole.values);
  whole.parameter.requires_grad_(whole.requires_grad);
  whole.parameter.mutable_grad() = std::move(whole.grad);
  whole.values = std::move(values);
  whole.grad = std::move(grad);
  whole.requires_grad = requires_grad;
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

ParameterRole role_of(const LlamaForCausalLM& model, const torch::nn::Module& module, const std::string& name,
                      const std::string& path) {
  if (const auto* adapter = dynamic_cast<const AdapterLinear*>(&module)) return adapter->role_of(name);
  if (const auto* embedding = dynamic_cast<const AdapterEmbedding*>(&module)) return embedding->role();
  const std::string head = model.score ? "score." : std::string(kHeadPath) + ".";
  return path.starts_with(head) ? ParameterRole::kHead : ParameterRole::kBase;
}

}  // namespace

void detach(const AdaptedModel& adapted) {
  if (!adapted.adapter_switch) {
    throw AdapterError("method " + adapted.config.method + " has no adapter that could be switched off");
  }
  AdapterSwitch& state = *adapted.adapter_switch;
  if (!std::exchange(state.on, false)) return;
  LlamaForCausalLM& model = *adapted.model;
  for (const AdaptedModule& module : adapted.modules) {
    module.host->replace_linear(last_part(module.path), module.layer->base_layer());
  }
  for (AdapterSwitch::Whole& whole : state.wholes) exchange(whole);
  if (adapted.embedding) model.model->replace_embedding(adapted.embedding->base_layer());
  if (adapted.own_head) model.put_head(nullptr);
}

void attach(const AdaptedModel& adapted) {
  AdapterSwitch& state = *adapted.adapter_switch;
  if (std::exchange(state.on, true)) return;
  LlamaForCausalLM& model = *adapted.model;
  // The model's mode may have changed while these were away.
  const auto in_mode = [&](const auto& layer) {
    layer->train(model.is_training());
    return layer;
  };
  if (adapted.own_head) model.put_head(in_mode(adapted.own_head));
  if (adapted.embedding) model.model->replace_embedding(in_mode(adapted.embedding));
  for (const AdaptedModule& module : adapted.modules) {
    module.host->replace_linear(last_part(module.path), in_mode(module.layer));
  }
  for (AdapterSwitch::Whole& whole : state.wholes) exchange(whole);
}

AdaptersOff::AdaptersOff(const AdaptedModel& adapted)
    : adapted_(adapted), was_on_(!adapted.adapter_switch || adapted.adapter_switch->on) {
  detach(adapted);
}

AdaptersOff::~AdaptersOff() {
  if (was_on_) attach(adapted_);
}

std::shared_ptr<AdapterSwitch> new_switch() { return std::make_shared<AdapterSwitch>(AdapterSwitch{true, {}}); }

void keep_base(AdapterSwitch& adapter_switch, const at::Tensor& parameter) {
  const auto same = [&](const AdapterSwitch::Whole& whole) { return whole.parameter.is_same(parameter); };
  if (std::ranges::any_of(adapter_switch.wholes, same)) return;  // a module may be named twice
  adapter_switch.wholes.push_back({parameter, parameter.detach(), {}, parameter.requires_grad()});
}

bool trains_whole(const AdaptedModel& adapted) { return !adapted.adapter_switch->wholes.empty(); }

AdaptedModel unattached(const AdaptedModel& adapted) {
  AdaptedModel other = adapted;
  other.adapter_switch = std::make_shared<AdapterSwitch>(AdapterSwitch{false, {}});
  return other;
}

std::string task_type(const LlamaForCausalLM& model) { return model.score ? "SEQ_CLS" : "CAUSAL_LM"; }

std::vector<std::string> modules_to_save(const LlamaForCausalLM& model, const AdapterConfig& config) {
  std::vector<std::string> names = config.modules_to_save;
  if (model.score && std::ranges::count(names, "score") == 0) names.push_back("score");
  return names;
}

std::vector<TrainedParameter> trainable_parameters(const LlamaForCausalLM& model) {
  std::vector<TrainedParameter> trained;
  for (const auto& module : model.named_modules("", /*include_self=*/false)) {
    for (const auto& parameter : module.value()->named_parameters(/*recurse=*/false)) {
      if (!parameter.value().requires_grad()) continue;
      const std::string path = module.key() + "." + parameter.key();
      trained.push_back({path, parameter.value(), role_of(model, *module.value(), parameter.key(), path)});
    }
  }
  return trained;
}

}  // namespace lora
