#include "lora/export/gguf_types.h"

namespace lora {
namespace {

// llama.cpp's llama_ftype.
uint32_t file_type(GgmlType type) {
  switch (type) {
    case GgmlType::kF32:
      return 0;
    case GgmlType::kF16:
      return 1;
    case GgmlType::kQ8_0:
      return 7;
    case GgmlType::kBF16:
      return 32;
  }
  return 0;
}

}  // namespace

GgmlType gguf_type(const std::string& outtype, at::ScalarType own) {
  if (outtype == "auto") return own == at::kBFloat16 ? GgmlType::kBF16 : GgmlType::kF32;
  return ggml_type(outtype).value();
}

GgufMetadata gguf_head(const GgufArchitecture& architecture, const std::string& type,
                       const std::filesystem::path& model_directory, GgmlType numbers) {
  constexpr uint32_t kQuantizationVersion = 2;  // GGML_QNT_VERSION
  const auto path = std::filesystem::absolute(model_directory).lexically_normal();
  return {{"general.architecture", architecture.name},
          {"general.type", type},
          {"general.name", (path.has_filename() ? path : path.parent_path()).filename().string()},
          {"general.file_type", file_type(numbers)},
          {"general.quantization_version", kQuantizationVersion}};
}

}  // namespace lora
