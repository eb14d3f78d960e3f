#pragma once
// Adapters on disk in PEFT's own format: adapter_config.json and adapter_model.safetensors.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/adapted_model.h"
#include "models/network/new_rows.h"

namespace lora {

// Trained tensors under the names they have in a file. An adapter: PEFT's names
// ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"); method full: Hugging Face's
// ("model.norm.weight"). Some alias the parameters: do not write.
std::vector<std::pair<std::string, at::Tensor>> trained_tensors(const AdaptedModel& adapted);

// Writes the two files, and a classifier's labels.json, into an existing directory; PeftModel.from_pretrained reads it.
// `base_model` goes into base_model_name_or_path. `on_tensor`: as write_safetensors() has it.
void write_peft(const std::filesystem::path& directory, const AdaptedModel& adapted, const std::string& base_model,
                const std::function<void(size_t bytes)>& on_tensor = {});

// Copies the trained tensors of one model into another that was adapted in the same way.
void copy_trained_tensors(const AdaptedModel& from, const AdaptedModel& to);

inline constexpr const char* kPeftConfigFile = "adapter_config.json";
inline constexpr const char* kPeftWeightsFile = "adapter_model.safetensors";

// The text of that file.
std::string peft_config_text(const AdaptedModel& adapted, const std::string& base_model);

// Whether embedding and tied head are adapted or trained as one. A file says so with ensure_weight_tying and has their
// values twice.
bool ties_head(const AdaptedModel& adapted);

// config.init of "pissa" or "olora": the file has the trained pair alone, and PEFT takes the pair that it began with
// out of the base's weight at every load. Here the base stays, and that pair is computed again when the weights are
// loaded. (A file that PEFT converted, and every file of this project's, is plain LoRA of twice the rank.)
struct PeftAdapter {
  AdapterConfig config;
  std::string base_model;  // base_model_name_or_path, may be empty
  std::string task_type;   // "SEQ_CLS": its head is not in modules_to_save here, see modules_to_save(); may be empty
};
// Reads DIR/adapter_config.json. An option that would change the result and is not supported is a ModelError by name,
// and so is one that is not known, unless `ignored` names it.
PeftAdapter read_peft_config(const std::filesystem::path& directory, const std::vector<std::string>& ignored = {});

// Throws ModelError that says what an adapter of mlx-lm is.
[[noreturn]] void refuse_mlx_adapter(const std::filesystem::path& directory);
// Calls it where DIR has the weights of such an adapter and none of PEFT's.
void expect_no_mlx_adapter(const std::filesystem::path& directory);

// ModelError where DIR has no adapter_model.safetensors. A pickle runs what it holds when it is read, so
// adapter_model.bin is none; the message says so.
void expect_peft_weights(const std::filesystem::path& directory);

// The rows of embedding and head that the file has beyond a base's own: trained with modules_to_save or
// trainable_token_indices, or as PEFT saves the base's where its vocabulary was resized. `config`: of the directory.
// make() throws ModelError where the file does not have all of a tensor's new rows.
NewRows peft_rows(const std::filesystem::path& directory, const AdapterConfig& config);

// Copies the tensors of DIR/adapter_model.safetensors into an adapter. ModelError that lists missing and extra names,
// or names the first tensor of another shape, or a method, α or option that differs from adapted.config and would
// change what the weights mean. Weights of the base that PEFT writes along have to be this base's. peft_names.h says
// which other names are understood.
void load_peft_weights(const std::filesystem::path& directory, const AdaptedModel& adapted);

// The same for any file of trained_tensors.
void load_trained_tensors(const std::filesystem::path& file, const AdaptedModel& adapted);

}  // namespace lora
