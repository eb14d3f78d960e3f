// Exports the merged model as a Hugging Face directory: files of limited size, with one tensor in memory at a time.

#include <ATen/ATen.h>

#include <array>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "lora/adapters/merged.h"
#include "lora/export/export.h"
#include "lora/export/trained_chat.h"
#include "lora/export/verify.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"
#include "models/io/safetensors.h"
#include "models/network/families/families.h"
#include "models/network/pretrained.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// Files that Hugging Face's tools expect next to the weights.
constexpr std::array kCompanions = {"generation_config.json",  "tokenizer.json",     "tokenizer.model",
                                    "tokenizer_config.json",   "added_tokens.json",  "vocab.json",
                                    "special_tokens_map.json", "chat_template.json", "merges.txt",
                                    "chat_template.jinja"};

// Splits tensors into files in the given order, as transformers does: a file takes tensors as long as they fit. A
// tensor larger than the limit gets a file of its own.
std::vector<std::vector<LazyTensor>> split(const std::vector<LazyTensor>& tensors, int64_t max_size) {
  std::vector<std::vector<LazyTensor>> shards(1);
  size_t size = 0;
  for (const LazyTensor& tensor : tensors) {
    if (!shards.back().empty() && size + tensor.bytes() > static_cast<size_t>(max_size)) {
      shards.emplace_back();
      size = 0;
    }
    shards.back().push_back(tensor);
    size += tensor.bytes();
  }
  return shards;
}

void write_weights(const fs::path& directory, const std::vector<LazyTensor>& tensors, int64_t max_size) {
  const std::vector<std::vector<LazyTensor>> shards = split(tensors, max_size);
  if (shards.size() == 1) {
    stream_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
    return;
  }
  ordered_json places = ordered_json::object();
  size_t bytes = 0, parameters = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    char name[48];
    std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
    stream_safetensors(directory / name, shards[i], {{"format", "pt"}});
    for (const LazyTensor& tensor : shards[i]) {
      places[tensor.name] = name;
      bytes += tensor.bytes();
      parameters += tensor.bytes() / c10::elementSize(tensor.dtype);
    }
  }
  const ordered_json index = {{"metadata", {{"total_parameters", parameters}, {"total_size", bytes}}},
                              {"weight_map", places}};
  write_file_atomically(directory / "model.safetensors.index.json", index.dump(2) + "\n");
}

void copy_companions(const ExportSource& source, const fs::path& directory) {
  std::map<std::string, fs::path> files;  // by name: the tokenizer's own may have new tokens
  for (const char* name : kCompanions) {
    if (fs::exists(source.model_directory / name)) files[name] = source.model_directory / name;
  }
  for (const fs::path& file : source.tokenizer_files) files[file.filename().string()] = file;
  for (const auto& [name, file] : files) {
    fs::copy_file(file, directory / file.filename(), fs::copy_options::overwrite_existing);
    sync_file(directory / file.filename());
  }
}

std::string write_huggingface(const ExportSource& source, const fs::path& output) {
  std::vector<LazyTensor> tensors = merged_tensors(source.model());
  std::vector<LazyTensor*> all;
  for (LazyTensor& tensor : tensors) all.push_back(&tensor);
  count_bytes(all, source);
  std::string line;
  write_directory(output, source.model_directory, [&](const fs::path& directory) {
    write_weights(directory, tensors, source.options.max_shard_size);
    write_file_atomically(directory / "config.json", merged_config(source));
    copy_companions(source, directory);
    write_chat_template(source, directory);
    write_generation_ends(source, directory);
    const auto written =
        load_pretrained(directory, dtype_name(source.model().dtype()), {source.model().config().labels});
    written->eval();
    line = verify_logits(
        source, [&](const at::Tensor& ids) { return written->forward(ids); }, merged_bound(source.model()),
        merged_rounding(source.model()));
  });
  const bool merged = source.adapted.trainable_parameters > 0;
  return std::to_string(tensors.size()) + (merged ? " tensors, adapters merged; " : " tensors; ") + line +
         chat_line(source);
}

}  // namespace

std::string merged_config(const ExportSource& source) {
  auto config = parse_json<ordered_json>(read_file(source.model_directory / "config.json"));
  // The stored dtype may differ from the base model's. transformers 5 renamed the key.
  const std::string dtype = dtype_name(source.model().dtype());
  config.erase("dtype");
  config["torch_dtype"] = dtype;
  config["vocab_size"] = source.model().config().vocab_size;  // more where there are new tokens
  const ModelConfig& model = source.model().config();
  config["tie_word_embeddings"] = model.tie_word_embeddings;  // false if the adapter untied them
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

ExportFormat huggingface_format() {
  return {.name = "huggingface",
          .default_name = "merged",
          .write = write_huggingface,
          .is_directory = true,
          .elsewhere = {"hf"}};
}

}  // namespace lora
