#include "lora/data/format.h"

namespace lora {

// The columns as they are.
Format completion_format() {
  const auto make = [](const DataRow& row) { return Example{row.text("prompt"), row.text("completion")}; };
  return {"completion", {"prompt", "completion"}, make, {}, Turns::kIfAsked};
}

}  // namespace lora
