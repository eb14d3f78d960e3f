#pragma once
// What a trained model can be written as. A format is one file and one row in export.cpp.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/adapted_model.h"
#include "lora/data/tokenizer.h"
#include "models/base/names.h"
#include "models/base/on_bytes.h"
#include "models/io/lazy_tensor.h"
#include "models/network/decoder.h"

namespace lora {

class ChatTemplate;

struct ExportOptions {
  std::string outtype = "auto";            // one of the format's outtypes; auto: the model's own dtype
  int64_t max_shard_size = 5'000'000'000;  // huggingface: bytes of a file; a larger tensor has a file of its own
  bool huggingface_beside = true;          // torchscript: writes the Hugging Face directory too
};

// Everything is borrowed. An export changes nothing but the model's mode, which is evaluation afterwards.
struct ExportSource {
  const AdaptedModel& adapted;
  std::filesystem::path model_directory;               // of the base: config.json
  std::vector<std::filesystem::path> tokenizer_files;  // copied into the export
  const Tokenizer* tokenizer = nullptr;                // gguf writes it; verification compares logits on a text of its
  ExportOptions options = {};
  std::shared_ptr<const ChatTemplate> chat = {};  // that conversations were trained with; null: none were
  // Called again and again while the tensors of a file are written, with their bytes so far and in all; not by formats
  // of the adapter alone, which is small.
  OnBytes on_bytes = {};
  std::function<void()> on_check = {};  // called before what was written is compared with the trained model

  LlamaForCausalLM& model() const { return *adapted.model; }
  // Where the tokenizer's files are: in the model's directory, or elsewhere where it has new tokens.
  std::filesystem::path tokenizer_directory() const {
    return tokenizer_files.empty() ? model_directory : tokenizer_files.front().parent_path();
  }
};

struct ExportFormat {
  std::string name;          // in a recipe's `export` list
  std::string default_name;  // of the file or directory in the run directory
  // Writes `output`, whole or not at all, in place of an earlier export. Reads it again and throws where that computes
  // another model (see verify.h). Returns a line for the person.
  std::function<std::string(const ExportSource&, const std::filesystem::path& output)> write;
  // Throws what `write` would throw because of what the model is, whatever its weights become. Null: nothing to check.
  std::function<void(const ExportSource&)> check = nullptr;
  // Why an adapter of this configuration cannot be written; empty where it can. Null: every one can.
  std::string (*refuses)(const AdapterConfig& config) = nullptr;
  bool merges = true;         // the adapters into the base
  bool is_directory = false;  // what is written; else a file
  std::vector<std::string> outtypes = {"auto"};
  // The second place that `write` writes to; empty: none. Null: never one.
  std::filesystem::path (*beside)(const ExportOptions& options, const std::filesystem::path& output) = nullptr;
  std::vector<std::string> elsewhere = {};  // other tools' names for it
};

// All formats, in the order in which a person reads their names.
const std::vector<ExportFormat>& export_formats();

// The names that a recipe's `export` accepts.
const Names& export_names();

// The format of that name. Throws ExportError where there is none.
const ExportFormat& export_format(const std::string& name);

// Throws ExportError for options that the format does not have.
void check_options(const ExportFormat& format, const ExportOptions& options);

// Throws what export_as would throw because of what the model and its adapter are, and of what is at `output`: to be
// called before training.
void check_export(const std::string& name, const ExportSource& source, const std::filesystem::path& output);

// Writes `output` in the format of that name and returns a line for the person. Throws ExportError (exit code 2) for
// what the format has no place for, StorageError where it cannot write.
std::string export_as(const std::string& name, const ExportSource& source, const std::filesystem::path& output);

// Makes each of the tensors tell `source` when it is made for a file, which is written from them.
void count_bytes(const std::vector<LazyTensor*>& tensors, const ExportSource& source);

// config.json of the merged model: the base's, with the merged dtype. A classifier's also has its architecture, labels
// and a pad_token_id (eos where the base has none), without which transformers cannot classify a batch.
std::string merged_config(const ExportSource& source);

// Gives `fill` a hidden path beside `output`, then renames that file to `output`. Throws StorageError.
void write_file(const std::filesystem::path& output, const std::function<void(const std::filesystem::path&)>& fill);

// Gives `fill` a hidden directory beside `output`, then renames it to `output`, in place of an earlier export. Throws
// StorageError, also where expect_replaceable(output, model_directory) does.
void write_directory(const std::filesystem::path& output, const std::filesystem::path& model_directory,
                     const std::function<void(const std::filesystem::path&)>& fill);

}  // namespace lora
