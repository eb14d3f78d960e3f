#include "lora/data/formats/formats.h"

namespace lora {

Example make_text(const DataRow& row) { return {std::string(), row.text("text")}; }

}  // namespace lora
