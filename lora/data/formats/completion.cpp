#include "lora/data/format.h"
#include "lora/data/formats/chats.h"

namespace lora {
namespace {

// The columns as they are.
Example make_completion(const DataRow& row) { return prompt_example(row, row.text("prompt"), row.text("completion")); }

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
