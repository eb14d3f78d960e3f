#pragma once
// The tensors of an adapter's file by the names that PEFT gives them, whatever wrote the file.

#include <map>
#include <string>

#include "models/io/safetensors.h"

namespace lora {

// Name -> the file's name. Taken out of a name: an adapter's name where a state_dict was saved as it is
// ("lora_A.default.weight"), "modules_to_save" (PEFT writes a module that is trained whole under that name too where
// the vocabulary was resized), ".weight" behind lora_magnitude_vector, and the wrappers of torch.compile, FSDP and
// activation checkpointing. ModelError where two tensors of one name then differ.
std::map<std::string, std::string> peft_names(const SafetensorsFile& file);

}  // namespace lora
