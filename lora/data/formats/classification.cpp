#include "lora/data/formats/formats.h"
#include "models/base/error.h"

namespace lora {

Example make_classification(const DataRow& row) {
  Example example{.prompt = row.text("text"), .completion = "", .label = row.text("label")};
  if (example.label->empty()) throw DataError(row.where() + ": the label is empty; wanted a name");
  return example;
}

}  // namespace lora
