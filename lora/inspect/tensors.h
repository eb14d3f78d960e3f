#pragma once
// Tensors of safetensors files: names, shapes, dtypes, and what is odd about their values.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lora/inspect/inspection.h"
#include "models/io/safetensors.h"

namespace lora {

using SafetensorsFiles = std::vector<std::shared_ptr<SafetensorsFile>>;

std::string dtype_name(at::ScalarType dtype);  // "BF16", as files say it
int64_t numel(const TensorEntry& entry);

// Adds parameters, bytes and dtypes as facts, and a table of tensors: those of one kind in one row ("model.layers.*…"),
// or each in its own. `read_values`: also what of them is NaN, infinite or zero throughout, which reads every byte.
void describe_tensors(const SafetensorsFiles& files, bool each, bool read_values, Inspection& inspection);

}  // namespace lora
