#include "models/network/model_directory.h"

#include <algorithm>
#include <array>
#include <vector>

#include "models/base/error.h"
#include "models/base/file_kind.h"
#include "models/network/config.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

std::string first_with_extension(const fs::path& directory, const std::string& extension) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == extension) names.push_back(at->path().filename().string());
  }
  return names.empty() ? "" : *std::ranges::min_element(names);
}

// What a directory without config.json is; empty: nothing that is known.
std::string other_directory(const fs::path& path) {
  const auto has = [&](const char* name) { return fs::exists(path / name); };
  if (has("adapter_config.json")) {
    return "is an adapter, not a model; expected the directory of its base model (lora-inspect shows its name)";
  }
  if (has("checkpoints") || has("metrics.jsonl")) {
    return "is a run, not a model; expected the directory of a model, such as the run's export huggingface";
  }
  if (has("snapshots") || has("refs")) {
    return "is a folder of huggingface_hub's cache; expected one of the directories in its 'snapshots'";
  }
  if (has("params.json")) {
    return "holds Meta's own files (params.json); expected the Hugging Face form of the model, with config.json";
  }
  if (const std::string gguf = first_with_extension(path, ".gguf"); !gguf.empty()) {
    return "holds a GGUF file (" + gguf + ") and no config.json; expected the model's Hugging Face directory";
  }
  return "";
}

}  // namespace

void expect_directory(const fs::path& path) {
  if (fs::is_directory(path)) return;
  if (path.empty()) throw ModelError("the model's path is empty; expected a directory");
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw ModelError(path.string() + ": no such directory" + hub_hint(path.string(), "") + "; looked for " +
                     fs::absolute(path).lexically_normal().string());
  }
  std::string kind = path.extension() == ".safetensors" ? "a file of weights alone" : file_kind_of(path);
  if (kind.empty() && (path.extension() == ".yaml" || path.extension() == ".yml")) kind = "a recipe";
  if (const size_t advice = kind.find("; "); advice != std::string::npos) kind.resize(advice);
  throw ModelError(path.string() + ": is " + (kind.empty() ? "a file" : kind) +
                   "; expected the directory of a model in Hugging Face's form, with config.json, safetensors and the "
                   "tokenizer's files");
}

void expect_model_directory(const fs::path& path) {
  expect_directory(path);
  if (!fs::exists(path / "config.json")) {
    if (const std::string what = other_directory(path); !what.empty()) throw ModelError(path.string() + ": " + what);
  }
  read_model_config(path);
}

std::string hub_hint(const std::string& path, const std::string& options) {
  const auto is_of_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '/';
  };
  // What folders are called, and owners on the Hub are not.
  static constexpr std::array kFolders = {"models", "model", "data", "datasets", "runs", "checkpoints", "outputs"};
  static constexpr std::array kFiles = {".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz", ".zst", ".txt", ".yaml"};
  const fs::path whole = path;
  const size_t slash = path.find('/');
  std::error_code error;
  const bool is_name = !path.empty() && path[0] != '.' && path[0] != '/' && path.back() != '/' &&
                       std::ranges::count(path, '/') <= 1 && std::ranges::all_of(path, is_of_name) &&
                       std::ranges::count(kFiles, whole.extension().string()) == 0 &&
                       std::ranges::count(kFolders, path.substr(0, slash)) == 0 &&
                       (slash == std::string::npos || !fs::exists(path.substr(0, slash), error));
  if (!is_name) return "";
  return "; nothing is downloaded here: for a name on the Hugging Face Hub, run hf download " + options + path +
         " --local-dir DIR, and give DIR";
}

}  // namespace lora
