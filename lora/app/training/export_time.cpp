#include "lora/app/training/export_time.h"

#include <algorithm>

namespace lora {

double guessed_export_seconds(const Recipe& recipe, const ExportSource& source, int64_t checkpoint_bytes,
                              double checkpoint_seconds) {
  const int64_t model_bytes =
      source.adapted.total_parameters * static_cast<int64_t>(c10::elementSize(source.model().dtype()));
  const int64_t adapter_bytes = source.adapted.trainable_parameters * static_cast<int64_t>(sizeof(float));
  int64_t bytes = 0;
  for (const std::string& name : recipe.exports) {
    const ExportFormat& format = export_format(name);
    const bool twice = format.beside && !format.beside(source.options, format.default_name).empty();
    bytes += format.merges ? (twice ? 2 : 1) * model_bytes : adapter_bytes;
  }
  return checkpoint_seconds * static_cast<double>(bytes) / static_cast<double>(std::max<int64_t>(1, checkpoint_bytes));
}

}  // namespace lora
