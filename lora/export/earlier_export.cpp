#include "lora/export/earlier_export.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "lora/adapters/peft.h"
#include "models/base/error.h"
#include "models/network/labels.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

// All names that the formats which are directories write, with those of the tokenizers that they copy.
constexpr std::array<std::string_view, 16> kNames = {kPeftConfigFile,
                                                     kPeftWeightsFile,
                                                     kLabelsFile,
                                                     "config.json",
                                                     "generation_config.json",
                                                     "model.safetensors",
                                                     "tokenizer.json",
                                                     "tokenizer.model",
                                                     "tokenizer_config.json",
                                                     "special_tokens_map.json",
                                                     "added_tokens.json",
                                                     "vocab.json",
                                                     "merges.txt",
                                                     "chat_template.json",
                                                     "chat_template.jinja",
                                                     "model.safetensors.index.json"};
constexpr std::string_view kTemplateFolder = "additional_chat_templates";

// model-00001-of-00002.safetensors
bool is_shard(std::string_view name) {
  return name.starts_with("model-") && name.ends_with(".safetensors") && name.find("-of-") != name.npos;
}

bool is_written(const fs::directory_entry& item) {
  const std::string name = item.path().filename().string();
  if (item.is_symlink()) return false;
  if (item.is_directory()) {
    return name == kTemplateFolder &&
           std::ranges::all_of(fs::directory_iterator(item), [](const fs::directory_entry& file) {
             return file.is_regular_file() && file.path().extension() == ".jinja";
           });
  }
  return item.is_regular_file() && (std::ranges::count(kNames, name) > 0 || is_shard(name));
}

bool holds(const fs::path& directory, const fs::path& inner) {
  const fs::path outside = fs::weakly_canonical(directory), inside = fs::weakly_canonical(inner);
  return std::ranges::mismatch(outside, inside).in1 == outside.end();
}

}  // namespace

void expect_replaceable(const fs::path& output, const fs::path& model_directory) {
  if (!fs::exists(output)) return;
  if (!fs::is_directory(output)) {
    throw StorageError(output.string() + ": is a file; expected a directory or nothing there");
  }
  if (holds(output, model_directory)) {
    throw StorageError(output.string() + ": holds the base model " + model_directory.string() +
                       ", and an export is written in place of what is there; expected another directory");
  }
  for (const fs::directory_entry& item : fs::directory_iterator(output)) {
    if (is_written(item)) continue;
    throw StorageError(output.string() + ": holds '" + item.path().filename().string() +
                       "', which no export writes, and an export is written in place of what is there; expected an "
                       "earlier export, an empty directory or nothing there");
  }
}

}  // namespace lora
