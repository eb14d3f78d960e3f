#pragma once
// Inspects the tensors of safetensors files: names, shapes, dtypes, and odd values.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lora/inspect/inspection.h"
#include "models/io/safetensors.h"

namespace lora {

using SafetensorsFiles = std::vector<std::shared_ptr<SafetensorsFile>>;

std::string written_dtype_name(at::ScalarType dtype);  // "BF16", as the files write it
int64_t numel(const TensorEntry& entry);

// Adds the parameters, bytes and dtypes as facts, and a table of the tensors. Tensors of one kind share a row
// ("model.layers.*…") unless `each`. `read_values`: also reports tensors with NaN or infinities and tensors that are
// all zero; this reads every byte.
void describe_tensors(const SafetensorsFiles& files, bool each, bool read_values, Inspection& inspection);

}  // namespace lora
