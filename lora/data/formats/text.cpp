#include "lora/data/format.h"

namespace lora {

// No prompt: the whole text is trained on.
Format text_format() {
  const auto make = [](const DataRow& row) { return Example{std::string(), row.text("text")}; };
  return {.name = "text", .columns = {"text"}, .make = make, .elsewhere = {"pretrain"}};
}

}  // namespace lora
