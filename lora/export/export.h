#pragma once
// What a trained model can be written as. A new format is a file of its own and a line in export.cpp.

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lora/adapters/config.h"
#include "lora/adapters/inject.h"
#include "models/llama.h"

namespace lora {

// Everything borrowed; nothing is changed by an export.
struct ExportSource {
  LlamaForCausalLM& model;
  const Adaptation& adaptation;
  const AdapterConfig& adapter;
  std::filesystem::path model_directory;               // of the base: config.json
  std::vector<std::filesystem::path> tokenizer_files;  // carried along
};

struct ExportFormat {
  std::string default_name;  // in the run directory
  // Writes `output`, whole or not at all, in place of an earlier export. Returns a line for the person.
  std::function<std::string(const ExportSource&, const std::filesystem::path& output)> write;
  bool merges = true;  // the adapters into the base
};

// By the names of a recipe's `export` list.
const std::map<std::string, ExportFormat>& export_formats();

// AdaLoRA's adapter as a plain LoRA one. Error (exit code 2) for another method.
std::string export_lora(const ExportSource& source, const std::filesystem::path& output);
std::string export_peft(const ExportSource& source, const std::filesystem::path& output);
std::string export_huggingface(const ExportSource& source, const std::filesystem::path& output);
std::string export_torchscript(const ExportSource& source, const std::filesystem::path& output);

// config.json of the merged model: the base's, with the merged dtype and, for a classifier, its architecture, labels
// and a pad_token_id (eos where the base has none), without which transformers classifies no batches.
std::string merged_config(const ExportSource& source);

// Fills a hidden directory beside `output` and renames it into place once `fill` returns; an earlier `output` that is a
// directory is replaced. Throws StorageError.
void write_directory(const std::filesystem::path& output,
                     const std::function<void(const std::filesystem::path&)>& fill);

}  // namespace lora
