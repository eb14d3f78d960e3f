#include "lora/data/format.h"

namespace lora {
namespace {

// Stanford Alpaca's two templates (github.com/tatsu-lab/stanford_alpaca, "Data Release"): with and without an input.
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

}  // namespace

Format alpaca_format() {
  return {"alpaca", {"instruction", "input", "output"}, make_alpaca, {"input"}, Turns::kIfAsked};
}

}  // namespace lora
