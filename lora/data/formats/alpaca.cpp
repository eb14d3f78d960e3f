#include "lora/data/formats/formats.h"

namespace lora {

Example make_alpaca(const DataRow& row) {
  const std::string instruction = row.text("instruction");
  const std::string input = row.optional_text("input");
  std::string prompt;
  if (input.empty()) {
    prompt =
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n" +
        instruction + "\n\n### Response:\n";
  } else {
    prompt =
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n" +
        instruction + "\n\n### Input:\n" + input + "\n\n### Response:\n";
  }
  Example example{std::move(prompt), row.text("output")};
  example.user = input.empty() ? instruction : instruction + "\n\n" + input;
  return example;
}

}  // namespace lora
