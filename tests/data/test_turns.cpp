// Answers in what chat templates make of conversations, beside transformers' {% generation %}.

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lora/data/answers.h"
#include "lora/data/chat_template.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/golden.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using Json = nlohmann::ordered_json;

Chat chat_of(const Json& one) {
  Chat chat{read_messages(one["messages"], "row")};
  chat.tools = one["tools"];
  return chat;
}

std::vector<size_t> assistants(const Chat& chat) {
  std::vector<size_t> messages;
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    if (chat.messages[i].role() == "assistant") messages.push_back(i);
  }
  return messages;
}

// The rendering with ⟦ and ⟧ around the answers.
std::string with_answers(const std::string& source, const Chat& chat, std::vector<size_t>* open = nullptr) {
  const ChatTemplate made("t", {"t", source}, {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  const jinja::Text whole = made.render(chat, chat.messages.size(), false);
  std::string shown;
  size_t done = 0;
  const auto copy_to = [&](size_t end) {
    shown += whole.bytes().substr(done, end - done);
    done = end;
  };
  for (const Answer& answer : find_answers(made, chat, whole, assistants(chat))) {
    if (open && answer.last && answer.end == answer.tail) open->push_back(answer.message);
    copy_to(answer.begin);
    shown += "⟦";
    copy_to(answer.end);
    shown += "⟧";
  }
  copy_to(whole.size());
  return shown;
}

TEST_CASE("answers are where transformers' marks say, in templates with marks and without") {
  std::ifstream file(source_dir() / "tests/golden/turns.json");
  const Json golden = Json::parse(file);
  REQUIRE(golden.size() >= 100);
  for (const Json& one : golden) {
    INFO(one["name"].get<std::string>());
    const Chat chat = chat_of(one);
    CHECK(with_answers(one["template"], chat) == one["text"]);
    if (!one["plain"].is_null()) CHECK(with_answers(one["plain"], chat) == one["text"]);
  }
}

Chat spoken(const std::vector<std::pair<std::string, std::string>>& turns) {
  Chat chat;
  for (const auto& [role, content] : turns) chat.messages.push_back(chat_message(role, content));
  return chat;
}

TEST_CASE("a mark without an answer's bytes is of the answer beside it") {
  const std::string marks =
      "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}<a>{% endgeneration %}:"
      "{% generation %}{{ m.content }}{% endgeneration %};{% generation %}<end>{% endgeneration %}"
      "{% else %}{{ m.content }}{% endif %}{% endfor %}";
  CHECK(with_answers(marks, spoken({{"user", "q"}, {"assistant", "b"}, {"user", "q"}, {"assistant", ""}})) ==
        "q⟦<a>⟧:⟦b⟧;⟦<end>⟧q⟦<a>⟧:;⟦<end>⟧");
  const std::string ends =
      "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{% generation %}<end>"
      "{% endgeneration %}{% endif %}:{% endfor %}";
  CHECK(with_answers(ends, spoken({{"assistant", ""}, {"assistant", ""}})) == "⟦<end>⟧:⟦<end>⟧:");
  const std::string last = "{% for m in messages %}{{ m.content }}{% endfor %}{% generation %}x{% endgeneration %}";
  CHECK(with_answers(last, spoken({{"user", "q"}})) == "qx");
}

TEST_CASE("marks that do not tell what to train are refused") {
  const Chat chat = spoken({{"user", "q"}, {"assistant", "a"}, {"user", "r"}, {"assistant", "b"}});
  const std::string last =
      "{% for m in messages %}{% if loop.last %}{% generation %}{{ m.content }}{% endgeneration %}"
      "{% else %}{{ m.content }}{% endif %}{% endfor %}";
  CHECK_THROWS_WITH(with_answers(last, chat), Contains("messages[1]: the chat template (t) marks nothing of this "
                                                       "answer") &&
                                                  Contains("train_on: last_turn"));
  const std::string all = "{% generation %}{% for m in messages %}{{ m.content }}{% endfor %}{% endgeneration %}";
  CHECK(with_answers(all, chat) == "⟦qarb⟧");
  const ChatTemplate made("t", {"t", all}, {});
  const jinja::Text whole = made.render(chat, 4, false);
  CHECK_THROWS_WITH(find_answers(made, chat, whole, {3}), Contains("messages[3]") && Contains("marks this answer and"));
  CHECK(find_answers(made, chat, whole, {}).empty());
}

// For scripts/peer: the cases of LORA_TURN_CASES, a line of JSON each, into LORA_TURN_OUT.
TEST_CASE("finds the answers of the cases of a file", "[.peer]") {
  const char *cases = std::getenv("LORA_TURN_CASES"), *out = std::getenv("LORA_TURN_OUT");
  if (!cases || !out) {
    WARN("skipped: LORA_TURN_CASES and LORA_TURN_OUT name no files");
    return;
  }
  std::ifstream in(cases);
  std::ofstream results(out);
  for (std::string line; std::getline(in, line);) {
    const Json one = Json::parse(line);
    Json result;
    try {
      std::vector<size_t> open;
      result["text"] = with_answers(one["template"], chat_of(one), &open);
      result["open"] = open;
    } catch (const Error& error) {
      result["error"] = error.what();
    }
    results << result.dump() << "\n";
  }
  CHECK(results.good());
}

// As trl's diffusion_gemma.jinja does behind a call with words, and where the {% generation %} of its
// diffusion_gemma_training.jinja begins.
TEST_CASE("an answer begins behind its header also where the prompt for it ends otherwise") {
  const std::string source =
      "{% for m in messages %}{% if m.role == 'tool' %}[{{ m.content }}{% if loop.last %}{{ '<turn|>\n' }}{% endif %}"
      "{% else %}{{ '<|turn>' + m.role + '\n' }}{{ m.content }}"
      "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}</call>{% endfor %}"
      "{% if not m.tool_calls %}{{ '<turn|>\n' }}{% endif %}{% endif %}{% endfor %}"
      "{% if add_generation_prompt and messages[-1].role != 'tool' %}{{ '<|turn>assistant\n' }}{% endif %}";
  const Chat chat{read_messages(Json::parse(R"([{"role": "user", "content": "Q"},
      {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
      {"role": "tool", "content": "r"}, {"role": "assistant", "content": "A"}])"),
                                "row")};
  CHECK_THAT(with_answers(source, chat), Contains("</call>") && Contains("[r<|turn>assistant\n⟦A<turn|>⟧"));
}

}  // namespace
}  // namespace lora::test
