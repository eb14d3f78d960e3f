#include "lora/inspect/inspect.h"

#include <algorithm>

#include "lora/adapters/peft.h"
#include "lora/inspect/adapter.h"
#include "lora/inspect/base_weights.h"
#include "lora/inspect/gguf.h"
#include "lora/inspect/model.h"
#include "lora/inspect/run.h"
#include "lora/inspect/tensors.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

// The base model that the adapter names, if that directory exists.
fs::path base_of(const fs::path& adapter, const InspectOptions& options) {
  if (!options.base.empty()) return options.base;
  try {
    return read_peft_config(adapter).base_model;
  } catch (const Error&) {
    return {};  // describe_adapter_config reports it
  }
}

void inspect_adapter(const fs::path& directory, const InspectOptions& options, Inspection& inspection) {
  const auto config = describe_adapter_config(directory, inspection);
  expect_peft_weights(directory);
  const SafetensorsFile file(directory / kPeftWeightsFile);
  int64_t parameters = 0, bytes = 0;
  for (const auto& [name, entry] : file.entries()) {
    parameters += numel(entry);
    bytes += static_cast<int64_t>(entry.end - entry.begin);
  }
  inspection.facts.push_back({"parameters", "Parameters", parameters});
  inspection.facts.push_back({"bytes", "Bytes", bytes, as_bytes(bytes)});
  describe_adapter(file, config, base_of(directory, options), options.each, inspection);
}

void inspect_file(const fs::path& path, const InspectOptions& options, Inspection& inspection) {
  if (path.filename() == "adapters.safetensors") expect_no_mlx_adapter(path.parent_path());
  if (is_gguf(path)) {
    inspection.kind = "gguf";
    return describe_gguf(path, options.each, inspection);
  }
  const auto file = std::make_shared<SafetensorsFile>(path);
  inspection.kind = "tensors";
  for (const auto& [key, value] : file->metadata()) inspection.facts.push_back({"metadata." + key, key, value});
  if (holds_adapter(*file)) {
    inspection.kind = "adapter";
    const auto config = describe_adapter_config(path.parent_path(), inspection);
    describe_adapter(*file, config, options.base, options.each, inspection);
  }
  describe_tensors({file}, options.each, options.read_values && inspection.kind == "tensors", inspection);
}

}  // namespace

Inspection inspect(const fs::path& path, const InspectOptions& options) {
  Inspection inspection;
  inspection.path = path.string();
  if (fs::is_regular_file(path)) {
    inspect_file(path, options, inspection);
    return inspection;
  }
  expect_no_mlx_adapter(path);
  if (!fs::exists(path)) throw ModelError(path.string() + ": there is no such file or directory");
  if (!fs::is_directory(path))
    throw ModelError(path.string() + ": is a pipe or a device; expected a file or directory");
  if (fs::exists(path / "checkpoints") || fs::exists(path / "metrics.jsonl")) {
    inspection.kind = "run";
    const fs::path weights = describe_run(path, inspection);
    if (!weights.empty() && fs::exists(weights / kPeftWeightsFile)) inspect_adapter(weights, options, inspection);
  } else if (fs::exists(path / "state.json") && fs::exists(path / "recipe.yaml")) {
    inspection.kind = "checkpoint";
    describe_checkpoint(path, inspection);
    if (fs::exists(path / kPeftWeightsFile)) {
      inspect_adapter(path, options, inspection);
    } else {
      describe_tensors(model_files(path, inspection.odd), options.each, options.read_values, inspection);
    }
  } else if (fs::exists(path / kPeftConfigFile) || fs::exists(path / kPeftWeightsFile)) {
    inspection.kind = "adapter";
    inspect_adapter(path, options, inspection);
  } else if (fs::exists(path / "config.json") || !model_files(path, inspection.odd).empty()) {
    inspection.odd.clear();
    inspection.kind = "model";
    describe_model(path, options.each, options.read_values, inspection);
  } else {
    throw ModelError(path.string() +
                     ": neither a run, a checkpoint, an adapter nor a model's directory; expected one of them, or a "
                     "safetensors or GGUF file");
  }
  return inspection;
}

}  // namespace lora
