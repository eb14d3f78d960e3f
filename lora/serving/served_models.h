#pragma once
// What a request's `model` may name: the base and the adapters on it, as snapshots that a pass can hold while adapters
// come and go.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lora/app/source/adapted_base.h"
#include "lora/data/chat_template.h"
#include "models/network/batch_decoder.h"

namespace lora {

struct ServedModel {
  std::string name;
  std::string root;     // of an adapter: the base's name; empty: it is the base
  int64_t created = 0;  // seconds since 1970
  std::shared_ptr<const ModelSnapshot> snapshot;
  std::shared_ptr<const ChatTemplate> chat;  // null: it has none, and `chat_problem` says so
  std::string chat_problem;
  std::vector<int64_t> end_ids;       // of a text
  std::vector<int64_t> chat_end_ids;  // of an answer in a conversation
};

// Every function may be called from any thread. Borrows the base and the decoder; nobody else may use the base.
class ServedModels {
 public:
  // `base_name` is the base's; an adapter of that name is an AdapterError. `chat_template`: as data.template has it, for
  // all; empty: each model's own.
  ServedModels(AdaptedBase& base, const BatchDecoder& decoder, std::string base_name, std::string chat_template);

  // Null where there is none. An empty name is the base.
  std::shared_ptr<const ServedModel> find(const std::string& name) const;
  std::vector<std::shared_ptr<const ServedModel>> all() const;  // the base first

  // Reads an adapter; one of the same name is replaced by it. Throws what reading it throws; then nothing has changed.
  // Returns the model that it replaced, or null.
  std::shared_ptr<const ServedModel> load(const std::string& name, const std::filesystem::path& path);
  // Returns what it took away; null where there is no such adapter.
  std::shared_ptr<const ServedModel> unload(const std::string& name);

  const Tokenizer& tokenizer() const { return *base_.shared.tokenizer; }
  const LlamaForCausalLM& network() const { return *base_.set.model(); }

 private:
  std::shared_ptr<const ServedModel> serve(const std::string& name, const std::string& in_set);
  const std::shared_ptr<const ServedModel>* find_locked(const std::string& name) const;

  AdaptedBase& base_;
  const BatchDecoder& decoder_;
  std::string base_name_, chat_template_;
  mutable std::mutex mutex_;  // of models_
  std::mutex changing_;       // of the base's network: one adapter at a time is in it
  std::vector<std::shared_ptr<const ServedModel>> models_;
};

}  // namespace lora
