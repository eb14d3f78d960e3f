#pragma once
// What a trained model can be written as. A new format is a file of its own and a line in export.cpp.

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lora/adapters/adapted_model.h"
#include "lora/data/tokenizer.h"

namespace lora {

// What a person may choose of the formats.
struct ExportOptions {
  // gguf: f32 | f16 | bf16 | q8_0 | auto; torchscript: int8 | auto; which is the model's own dtype
  std::string outtype = "auto";
  int64_t max_shard_size = 5'000'000'000;  // huggingface: bytes of a file, but for a tensor that is larger
  bool huggingface_beside = true;          // torchscript: see there
};

// Everything borrowed; nothing is changed by an export, but that the model is in evaluation mode afterwards.
struct ExportSource {
  const AdaptedModel& adapted;
  std::filesystem::path model_directory;               // of the base: config.json
  std::vector<std::filesystem::path> tokenizer_files;  // carried along
  const Tokenizer* tokenizer = nullptr;                // gguf writes it; what is written is compared on a text of its
  ExportOptions options = {};

  LlamaForCausalLM& model() const { return *adapted.model; }
};

struct ExportFormat {
  std::string default_name;  // in the run directory
  // Writes `output`, whole or not at all, in place of an earlier export; reads it again, and throws where that computes
  // another model (see verify.h). Returns a line for the person.
  std::function<std::string(const ExportSource&, const std::filesystem::path& output)> write;
  // Throws what `write` would because of what the model is, whatever its weights become: to be told before it is
  // trained.
  std::function<void(const ExportSource&)> check;
  bool merges = true;  // the adapters into the base
};

// By the names of a recipe's `export` list.
const std::map<std::string, ExportFormat>& export_formats();

// AdaLoRA's adapter as a plain LoRA one. Error (exit code 2) for another method.
std::string export_lora(const ExportSource& source, const std::filesystem::path& output);
void check_lora(const ExportSource& source);
std::string export_peft(const ExportSource& source, const std::filesystem::path& output);
void check_peft(const ExportSource& source);
std::string export_huggingface(const ExportSource& source, const std::filesystem::path& output);
// LibTorch calls TorchScript deprecated since 2.10, so beside DIR/NAME.pt stands the Hugging Face directory DIR/NAME,
// from which torch.export goes on; with options.huggingface_beside false it does not.
std::string export_torchscript(const ExportSource& source, const std::filesystem::path& output);
// DIR/NAME; empty where the name has no extension, and nothing stands beside the file.
std::filesystem::path huggingface_beside(const std::filesystem::path& output);
// The merged model, and the adapter alone, for llama.cpp. Error (exit code 2) for what that has no place for.
std::string export_gguf(const ExportSource& source, const std::filesystem::path& output);
void check_gguf(const ExportSource& source);
std::string export_gguf_lora(const ExportSource& source, const std::filesystem::path& output);
void check_gguf_lora(const ExportSource& source);

// config.json of the merged model: the base's, with the merged dtype and, for a classifier, its architecture, labels
// and a pad_token_id (eos where the base has none), without which transformers classifies no batches.
std::string merged_config(const ExportSource& source);

// Gives `fill` a hidden path beside `output` and renames what it has written there into its place. Throws StorageError.
void write_file(const std::filesystem::path& output, const std::function<void(const std::filesystem::path&)>& fill);

// Fills a hidden directory beside `output` and renames it into place once `fill` returns; an earlier `output` that is a
// directory is replaced. Throws StorageError.
void write_directory(const std::filesystem::path& output,
                     const std::function<void(const std::filesystem::path&)>& fill);

}  // namespace lora
