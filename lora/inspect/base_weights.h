#pragma once
// A base model's weights beside an adapter: shapes and norms, of what is there.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "lora/inspect/inspection.h"
#include "lora/inspect/tensors.h"
#include "models/network/config.h"

namespace lora {

// The safetensors files of a model's directory. What cannot be read is said in `odd`, and left out.
SafetensorsFiles model_files(const std::filesystem::path& directory, std::vector<std::string>& odd);

class BaseWeights {
 public:
  // Nothing is known of an empty or missing directory.
  BaseWeights(const std::filesystem::path& directory, Inspection& inspection);
  bool has_tied_head() const { return config_ && config_->tie_word_embeddings && config_->labels.empty(); }
  int64_t layers() const { return config_ ? config_->num_hidden_layers : 0; }
  // Says where the module's weight has another shape, or is not there.
  void compare(const std::string& module, int64_t out, int64_t in);
  double norm(const std::string& module) const;  // ‖W‖, 0 where it is not known

 private:
  const SafetensorsFile* file_of(const std::string& module) const;
  Inspection& inspection_;
  SafetensorsFiles files_;
  std::optional<ModelConfig> config_;
};

}  // namespace lora
