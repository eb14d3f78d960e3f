#pragma once
// The shapes and norms of a base model's weights, to compare an adapter with. Files may be missing.

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

// The safetensors files of a model's directory. An unreadable file is reported in `odd` and skipped.
SafetensorsFiles model_files(const std::filesystem::path& directory, std::vector<std::string>& odd);

class BaseWeights {
 public:
  // `directory` may be empty or missing; then nothing is known.
  BaseWeights(const std::filesystem::path& directory, Inspection& inspection);
  bool has_tied_head() const { return config_ && config_->tie_word_embeddings && config_->labels.empty(); }
  int64_t layers() const { return config_ ? config_->num_hidden_layers : 0; }
  // Reports a module whose weight is missing or has another shape.
  void compare(const std::string& module, int64_t out, int64_t in);
  double norm(const std::string& module) const;  // ‖W‖; 0 if unknown

 private:
  const SafetensorsFile* file_of(const std::string& module) const;
  Inspection& inspection_;
  SafetensorsFiles files_;
  std::optional<ModelConfig> config_;
};

}  // namespace lora
