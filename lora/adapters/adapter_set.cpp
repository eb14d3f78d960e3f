#include "lora/adapters/adapter_set.h"

#include <algorithm>
#include <utility>

#include "lora/adapters/adapter_name.h"
#include "lora/adapters/inject.h"
#include "lora/adapters/registry.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {

const AdaptedModel& AdapterSet::add(const std::string& name, const AdapterConfig& config, uint64_t seed, bool fresh) {
  if (const std::string problem = adapter_name_problem(name); !problem.empty()) {
    throw AdapterError("'" + name + "' cannot name an adapter: " + problem);
  }
  if (contains(name)) throw AdapterError("there is an adapter '" + name + "' already; expected another name");
  if (find_method(config.method).trains_network) {
    throw AdapterError("'" + name + "': method " + config.method + " trains the base itself, which adapters share");
  }
  deactivate();
  entries_.push_back(std::make_unique<Entry>(Entry{name, inject(model_, config, seed, fresh)}));
  active_ = name;
  return entries_.back()->adapted;
}

void AdapterSet::remove(const std::string& name) {
  const AdaptedModel* one = &adapted(name);  // an error where there is none
  deactivate();
  std::erase_if(entries_, [&](const auto& entry) { return &entry->adapted == one; });
}

void AdapterSet::activate(const std::string& name) {
  if (name == active_) return;
  const AdaptedModel& next = adapted(name);  // before anything is changed
  deactivate();
  attach(next);
  active_ = name;
}

void AdapterSet::deactivate() {
  if (active_.empty()) return;
  detach(adapted(active_));
  active_.clear();
}

bool AdapterSet::contains(const std::string& name) const {
  return std::ranges::any_of(entries_, [&](const auto& entry) { return entry->name == name; });
}

std::vector<std::string> AdapterSet::names() const {
  std::vector<std::string> names;
  for (const auto& entry : entries_) names.push_back(entry->name);
  return names;
}

bool AdapterSet::only_adapts_layers(const std::string& name) const {
  const AdaptedModel& one = adapted(name);
  return !trains_whole(one) && !one.embedding && !one.own_head && !one.config.lora_bias &&
         std::ranges::all_of(one.modules,
                             [](const AdaptedModule& module) { return layer_of(module.path).has_value(); });
}

const AdaptedModel& AdapterSet::adapted(const std::string& name) const {
  for (const auto& entry : entries_) {
    if (entry->name == name) return entry->adapted;
  }
  std::string list;
  for (const std::string& known : names()) list += (list.empty() ? "" : ", ") + known;
  throw AdapterError("there is no adapter '" + name + "'" + did_you_mean(name, names()) +
                     (list.empty() ? "; none was loaded" : "; loaded: " + list));
}

}  // namespace lora
