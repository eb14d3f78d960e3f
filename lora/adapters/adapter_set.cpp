#include "lora/adapters/adapter_set.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "lora/adapters/adapter_name.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

std::shared_ptr<LinearHost> host_of(const torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>& modules,
                                    const std::string& path) {
  const size_t dot = path.rfind('.');
  const auto* host = modules.find(dot == std::string::npos ? "" : path.substr(0, dot));
  return host ? std::dynamic_pointer_cast<LinearHost>(*host) : nullptr;
}

}  // namespace

// The base before an adapter is put in, to find out afterwards what that changed. By what is there and not by what the
// method says: a method may also replace or rescale what it stands on.
struct AdapterSet::Bare {
  explicit Bare(LlamaForCausalLM& model) : embedding(model.model->embed_tokens), tied(model.has_tied_head()) {
    for (const auto& parameter : model.parameters()) {
      wholes.push_back({parameter, parameter.detach(), {}, parameter.requires_grad()});
    }
    const auto modules = model.named_modules();
    for (const auto& item : modules) {
      const auto linear = std::dynamic_pointer_cast<Linear>(item.value());
      const auto host = linear ? host_of(modules, item.key()) : nullptr;
      if (host) places.push_back({host, item.key(), item.key().substr(item.key().rfind('.') + 1), linear, linear});
    }
  }

  // Puts the base back and keeps what stood in its places.
  void restore(LlamaForCausalLM& model) {
    if (model.model->embed_tokens != embedding) {
      own_embedding = model.model->embed_tokens;
      model.model->replace_embedding(embedding);
    }
    if (tied && model.lm_head) {
      own_head = model.lm_head;
      model.put_head(nullptr);
    }
    const auto modules = model.named_modules();
    for (Place& place : places) {
      place.own = std::dynamic_pointer_cast<Linear>(*modules.find(place.path));
      if (place.own != place.base) place.host->replace_linear(place.name, place.base);
    }
    std::erase_if(places, [](const Place& place) { return place.own == place.base; });
    std::erase_if(wholes, [](const Whole& whole) {
      return whole.handle.is_alias_of(whole.values) && whole.handle.requires_grad() == whole.requires_grad;
    });
    for (Whole& whole : wholes) exchange(whole);
  }

  std::vector<Place> places;
  std::vector<Whole> wholes;
  std::shared_ptr<Embedding> embedding, own_embedding;
  bool tied;
  std::shared_ptr<Linear> own_head;
};

void AdapterSet::exchange(Whole& whole) {
  at::Tensor values = whole.handle.detach();
  at::Tensor grad = std::exchange(whole.handle.mutable_grad(), at::Tensor());
  const bool requires_grad = whole.handle.requires_grad();
  whole.handle.set_data(whole.values);
  whole.handle.requires_grad_(whole.requires_grad);
  whole.handle.mutable_grad() = std::move(whole.grad);
  whole.values = std::move(values);
  whole.grad = std::move(grad);
  whole.requires_grad = requires_grad;
}

const Adaptation& AdapterSet::add(const std::string& name, const AdapterConfig& config, uint64_t seed, bool fresh) {
  if (const std::string problem = adapter_name_problem(name); !problem.empty()) {
    throw AdapterError("'" + name + "' cannot name an adapter: " + problem);
  }
  if (contains(name)) throw AdapterError("there is an adapter '" + name + "' already; wanted another name");
  if (config.method == "full")
    throw AdapterError("'" + name + "': method full trains the base itself, which adapters share");
  deactivate();
  auto entry = std::make_unique<Entry>(Entry());
  entry->name = name;
  entry->config = config;
  Bare bare(model_);
  try {
    entry->adaptation = inject(model_, config, seed, fresh);
  } catch (...) {
    bare.restore(model_);
    throw;
  }
  bare.restore(model_);
  entry->places = std::move(bare.places);
  entry->wholes = std::move(bare.wholes);
  entry->embedding = std::move(bare.own_embedding);
  entry->head = std::move(bare.own_head);
  entries_.push_back(std::move(entry));
  activate(name);
  return entries_.back()->adaptation;
}

void AdapterSet::activate(const std::string& name) {
  if (name == active_) return;
  Entry& entry = at(name);  // before anything is changed
  deactivate();
  for (const Place& place : entry.places) {
    place.host->replace_linear(place.name, place.own);
    place.own->train(model_.is_training());  // the model's mode may have changed while it was away
  }
  for (Whole& whole : entry.wholes) exchange(whole);
  if (entry.embedding) {
    model_.model->replace_embedding(entry.embedding);
    entry.embedding->train(model_.is_training());
  }
  if (entry.head) {
    model_.put_head(entry.head);
    entry.head->train(model_.is_training());
  }
  active_ = name;
}

void AdapterSet::deactivate() {
  if (active_.empty()) return;
  Entry& entry = at(active_);
  for (const Place& place : entry.places) place.host->replace_linear(place.name, place.base);
  for (Whole& whole : entry.wholes) exchange(whole);
  if (entry.embedding) model_.model->replace_embedding(base_embedding_);
  if (entry.head) model_.put_head(nullptr);
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
  const Entry& entry = at(name);
  return entry.wholes.empty() && !entry.embedding && !entry.head && !entry.config.lora_bias &&
         std::ranges::all_of(entry.places, [](const Place& place) { return place.path.starts_with("model.layers."); });
}

AdapterSet::Entry& AdapterSet::at(const std::string& name) const {
  for (const auto& entry : entries_) {
    if (entry->name == name) return *entry;
  }
  std::string list;
  for (const std::string& known : names()) list += (list.empty() ? "" : ", ") + known;
  throw AdapterError("there is no adapter '" + name + "'" + did_you_mean(name, names()) +
                     (list.empty() ? "; none was loaded" : "; loaded: " + list));
}

}  // namespace lora
