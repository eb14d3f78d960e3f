#include "lora/inspect/base_weights.h"

#include <algorithm>

#include "lora/inspect/delta.h"
#include "models/base/error.h"

namespace lora {

namespace fs = std::filesystem;

SafetensorsFiles model_files(const fs::path& directory, std::vector<std::string>& odd) {
  std::set<fs::path> paths;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(directory, ignored)) {
    const std::string name = item.path().filename().string();
    if (name.ends_with(".safetensors") && !name.starts_with("adapter_")) paths.insert(item.path());
  }
  SafetensorsFiles files;
  for (const fs::path& path : paths) {
    try {
      files.push_back(std::make_shared<SafetensorsFile>(path));
    } catch (const Error& e) {
      odd.push_back(e.what());
    }
  }
  return files;
}

BaseWeights::BaseWeights(const fs::path& directory, Inspection& inspection) : inspection_(inspection) {
  if (directory.empty() || !fs::is_directory(directory)) return;
  files_ = model_files(directory, inspection.odd);
  try {
    config_ = read_model_config(directory);
  } catch (const Error& e) {
    inspection.odd.push_back(e.what());
  }
}

const SafetensorsFile* BaseWeights::file_of(const std::string& module) const {
  const auto found = std::ranges::find_if(files_, [&](const auto& file) { return file->contains(module + ".weight"); });
  return found == files_.end() ? nullptr : found->get();
}

void BaseWeights::compare(const std::string& module, int64_t out, int64_t in) {
  if (files_.empty()) return;
  const SafetensorsFile* file = file_of(module);
  if (!file) {
    const bool tied = module == "lm_head" && config_ && config_->tie_word_embeddings;
    if (!tied) inspection_.odd.push_back("the base has no '" + module + "'");
    return;
  }
  const std::vector<int64_t>& shape = file->entries().at(module + ".weight").shape;
  if (shape == std::vector<int64_t>{out, in}) return;
  inspection_.odd.push_back("'" + module + "' is of a weight of " + std::to_string(out) + " × " + std::to_string(in) +
                            ", and the base's is " + c10::str(at::IntArrayRef(shape)));
}

double BaseWeights::norm(const std::string& module) const {
  const SafetensorsFile* file = file_of(module);
  if (!file) return 0;
  const double norm = value_stats(file->tensor(module + ".weight")).norm;
  file->release(module + ".weight");
  return norm;
}

}  // namespace lora
