#include "lora/data/format.h"
#include "lora/data/formats/chats.h"

namespace lora {
namespace {

// The columns as they are. The system's words, if any, stand in front of the prompt and a blank line.
Example make_completion(const DataRow& row) {
  Example example{row.text("prompt"), row.text("completion")};
  example.system = system_of(row);
  if (example.system.empty()) return example;
  example.user = example.prompt;
  example.prompt = example.system + "\n\n" + example.user;
  return example;
}

}  // namespace

Format completion_format() {
  return {.name = "completion",
          .columns = {"prompt", "completion", "system", "system_prompt", "label", "kto_tag"},
          .make = make_completion,
          .optional = {"system", "system_prompt", "label", "kto_tag"},
          .turns = Turns::kIfAsked,
          .of_messages = "chat"};
}

}  // namespace lora
