#include "lora/data/format.h"
#include "models/base/error.h"

namespace lora {
namespace {

// The text to classify as the prompt, and its label, which may not be empty.
Example make_classification(const DataRow& row) {
  Example example{.prompt = row.text("text"), .completion = "", .label = row.text("label")};
  if (example.label->empty()) throw DataError(row.where() + ": the label is empty; expected a name");
  return example;
}

}  // namespace

Format classification_format() {
  return {
      .name = "classification", .columns = {"text", "label"}, .make = make_classification, .trains = Trains::kLabel};
}

}  // namespace lora
