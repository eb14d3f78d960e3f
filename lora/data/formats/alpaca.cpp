#include "lora/data/format.h"
#include "lora/data/formats/chats.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

// Stanford Alpaca's two templates (github.com/tatsu-lab/stanford_alpaca, "Data Release"): with and without an input.
// A row's own system text takes the place of their first sentences.
std::string alpaca_prompt(const std::string& system, const std::string& instruction, const std::string& input) {
  std::string before = system;
  if (system.empty()) {
    before = input.empty() ? "Below is an instruction that describes a task. "
                           : "Below is an instruction that describes a task, paired with an input that provides "
                             "further context. ";
    before += "Write a response that appropriately completes the request.";
  }
  const std::string context = input.empty() ? "" : "\n\n### Input:\n" + input;
  return before + "\n\n### Instruction:\n" + instruction + context + "\n\n### Response:\n";
}

// LLaMA-Factory's `history`: pairs of an instruction and its answer, which came before and are trained too.
Chat earlier_turns(const Json& history, const DataRow& row) {
  Chat chat;
  if (!history.is_array()) throw DataError(row.where() + ": 'history' is " + history.type_name() + ", expected a list");
  for (const Json& pair : history) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      throw DataError(row.where() + ": 'history' holds " + pair.dump().substr(0, 60) +
                      ", expected pairs of texts: [instruction, answer]");
    }
    chat.messages.push_back(chat_message("user", pair[0].get<std::string>()));
    chat.messages.push_back(chat_message("assistant", pair[1].get<std::string>()));
  }
  return chat;
}

Example make_alpaca(const DataRow& row) {
  const std::string instruction = row.text("instruction"), input = row.optional_text("input");
  const std::string system = system_of(row);
  const std::string user = input.empty() ? instruction : instruction + "\n\n" + input;
  const Json history = row.optional_value("history");
  const bool none = history.is_null() || history.empty() || history == "";
  if (none) {
    Example example{alpaca_prompt(system, instruction, input), row.text("output")};
    example.user = user;
    example.system = system;
    return example;
  }
  Chat chat = earlier_turns(history, row);
  chat.messages.push_back(chat_message("user", user));
  chat.messages.push_back(chat_message("assistant", row.text("output")));
  add_system(system, chat, row);
  return chat_example(std::move(chat));
}

}  // namespace

Format alpaca_format() {
  const std::vector<std::string> optional = {"input", "system", "system_prompt", "history", "label", "kto_tag"};
  return {.name = "alpaca",
          .columns = {"instruction", "input", "output", "system", "system_prompt", "history", "label", "kto_tag"},
          .make = make_alpaca,
          .optional = optional,
          .turns = Turns::kIfAsked,
          .own_template = "alpaca"};
}

}  // namespace lora
