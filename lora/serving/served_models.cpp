#include "lora/serving/served_models.h"

#include <algorithm>
#include <ctime>

#include "lora/data/whole_sample.h"
#include "lora/inference/exact_match.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Takes the adapter out of the set at the end: a snapshot is all that passes need, and what could not be read must not
// keep the name.
class LeavesSet {
 public:
  LeavesSet(AdapterSet& set, const std::string& name) : set_(set), name_(name) {}
  ~LeavesSet() {
    if (set_.contains(name_)) set_.remove(name_);
  }
  LeavesSet(const LeavesSet&) = delete;
  LeavesSet& operator=(const LeavesSet&) = delete;

 private:
  AdapterSet& set_;
  const std::string& name_;
};

}  // namespace

ServedModels::ServedModels(AdaptedBase& base, const BatchDecoder& decoder, std::string base_name,
                           std::string chat_template)
    : base_(base), decoder_(decoder), base_name_(std::move(base_name)), chat_template_(std::move(chat_template)) {
  if (base_.set.contains(base_name_)) {
    throw AdapterError("'" + base_name_ + "' is the base's name too; name the adapter apart: --adapter NAME=PATH");
  }
  models_.push_back(serve(base_name_, ""));
  for (const std::string& name : base_.set.names()) {
    const LeavesSet leaves(base_.set, name);
    models_.push_back(serve(name, name));
  }
}

// `in_set`: the adapter's name there; empty: the bare base.
std::shared_ptr<const ServedModel> ServedModels::serve(const std::string& name, const std::string& in_set) {
  auto model = std::make_shared<ServedModel>();
  model->name = name;
  model->root = in_set.empty() ? "" : base_name_;
  model->created = std::time(nullptr);
  const auto& network = base_.set.model();
  in_set.empty() ? base_.set.deactivate() : base_.set.activate(in_set);
  model->snapshot = decoder_.snapshot(*network);
  base_.set.deactivate();
  model->end_ids = end_ids(*network, tokenizer());
  model->chat_end_ids = model->end_ids;
  try {
    const std::string chosen = chat_template_.empty() ? base_.templates.at(in_set) : chat_template_;
    model->chat = find_chat_template(chosen, tokenizer());
    const std::vector<int64_t> ends = end_of_turn_ids(tokenizer(), *model->chat);
    model->chat_end_ids.insert(model->chat_end_ids.end(), ends.begin(), ends.end());
  } catch (const Error& error) {
    model->chat_problem = without_component(error);
  }
  return model;
}

const std::shared_ptr<const ServedModel>* ServedModels::find_locked(const std::string& name) const {
  const auto found = std::ranges::find_if(models_, [&](const auto& model) { return model->name == name; });
  return found == models_.end() ? nullptr : &*found;
}

std::shared_ptr<const ServedModel> ServedModels::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  if (name.empty()) return models_.front();
  const auto* found = find_locked(name);
  return found ? *found : nullptr;
}

std::vector<std::shared_ptr<const ServedModel>> ServedModels::all() const {
  const std::lock_guard lock(mutex_);
  return models_;
}

std::shared_ptr<const ServedModel> ServedModels::load(const std::string& name, const std::filesystem::path& path) {
  const std::lock_guard changing(changing_);
  if (name == base_name_) throw AdapterError("'" + name + "' is the base's name; expected another one");
  const LeavesSet leaves(base_.set, name);
  add_adapter_to(base_, name + "=" + path.string());
  const auto model = serve(name, name);
  const std::lock_guard lock(mutex_);
  for (auto& known : models_) {
    if (known->name == name) return std::exchange(known, model);
  }
  models_.push_back(model);
  return nullptr;
}

std::shared_ptr<const ServedModel> ServedModels::unload(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto* found = find_locked(name);
  if (!found || (*found)->root.empty()) return nullptr;
  const auto model = *found;
  std::erase(models_, model);
  return model;
}

}  // namespace lora
