#include "lora/data/formats/formats.h"

namespace lora {

Example make_completion(const DataRow& row) { return {row.text("prompt"), row.text("completion")}; }

}  // namespace lora
