// The merged model as a Hugging Face directory.

#include <ATen/ATen.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lora/export/export.h"
#include "models/error.h"
#include "models/families/families.h"
#include "models/io/atomic_file.h"
#include "models/io/safetensors.h"

namespace lora {

namespace fs = std::filesystem;

std::string merged_config(const ExportSource& source) {
  std::ifstream in(source.model_directory / "config.json", std::ios::binary);
  auto config = nlohmann::ordered_json::parse(in);
  // The stored dtype may be another than the base's; transformers 5 renamed the key.
  const std::string dtype = source.model.dtype() == at::kBFloat16 ? "bfloat16" : "float32";
  config.erase("dtype");
  config["torch_dtype"] = dtype;
  const ModelConfig& model = source.model.config();
  config["tie_word_embeddings"] = model.tie_word_embeddings;  // parted where the adapter parted them
  if (!model.labels.empty()) {
    config["architectures"] = {find_family(model.model_type)->classifier};
    config["problem_type"] = "single_label_classification";
    if ((!config.contains("pad_token_id") || config["pad_token_id"].is_null()) && !model.eos_token_ids.empty()) {
      config["pad_token_id"] = model.eos_token_ids.front();
    }
    set_labels(config, model.labels);
  }
  return config.dump(2) + "\n";
}

std::string export_huggingface(const ExportSource& source, const fs::path& output) {
  NamedTensors tensors;
  for_each_merged_tensor(
      source.model, [&](const std::string& name, const at::Tensor& tensor) { tensors.emplace_back(name, tensor); });
  write_directory(output, [&](const fs::path& directory) {
    write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
    write_file_atomically(directory / "config.json", merged_config(source));
    std::vector<fs::path> companions = source.tokenizer_files;
    for (const char* name : {"generation_config.json", "tokenizer_config.json", "special_tokens_map.json"}) {
      if (fs::exists(source.model_directory / name)) companions.push_back(source.model_directory / name);
    }
    for (const fs::path& file : companions) {
      fs::copy_file(file, directory / file.filename(), fs::copy_options::overwrite_existing);
      sync_file(directory / file.filename());
    }
  });
  return std::to_string(tensors.size()) + " tensors, adapters merged";
}

}  // namespace lora
