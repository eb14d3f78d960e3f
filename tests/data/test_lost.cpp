// What a chat template does not write of a conversation: counted, and refused where nothing of an answer is left.

#include <nlohmann/json.hpp>

#include "lora/data/chat_template.h"
#include "lora/data/whole_sample.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/chat_tokenizer.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using Json = nlohmann::ordered_json;

const ChatTokenizer& lost_tokenizer() {
  static const ChatTokenizer made({"<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|end|>"});
  return made;
}

Chat chat_with_tools(const std::string& messages, const std::string& tools = "null") {
  Chat chat{read_messages(Json::parse(messages), "row")};
  chat.tools = read_tools(Json::parse(tools), "row");
  return chat;
}

SourceCounts counts_of(const Chat& chat, const std::string& wanted, TrainOn train_on = TrainOn::kAssistant) {
  EncodeOptions options{.max_length = 10'000, .train_on = train_on};
  options.chat = find_chat_template(wanted, lost_tokenizer());
  Example example;
  example.chat = std::make_shared<const Chat>(chat);
  return encode_example(lost_tokenizer(), options, example).counts;
}

const std::string kLostCall =
    R"({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]})";
const std::string kLostTools = R"([{"type": "function", "function": {"name": "f"}}])";

// A template with a place for everything.
const std::string kWholeTemplate = R"({% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages -%}
<|im_start|>{{ m.role }}
{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content -}}
{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %})";

TEST_CASE("an answer that is a tool call is refused where the template has no place for it") {
  const Chat chat = chat_with_tools(R"([{"role": "user", "content": "q"}, )" + kLostCall + "]");
  for (const char* name : {"chatml", "llama-3", "plain", "zephyr", "phi-3", "llama-2", "mistral", "gemma", "alpaca"}) {
    INFO(name);
    CHECK_THROWS_AS(counts_of(chat, name), DataError);
    CHECK_THROWS_WITH(counts_of(chat, name), Contains("messages[1]: the chat template (" + std::string(name) + ")") &&
                                                 Contains("which is 'tool_calls'"));
    CHECK_THROWS_WITH(counts_of(chat, name, TrainOn::kAll), Contains("which is 'tool_calls'"));
  }
  CHECK(counts_of(chat, kWholeTemplate).lost_calls == 0);
}

TEST_CASE("calls, tools and contents that a template leaves out are counted") {
  const std::string asked = R"([{"role": "user", "content": "q"}, )";
  const std::string call = kLostCall.substr(0, kLostCall.size() - 1) + R"(, "weight": 0}, )";
  const std::string result = R"({"role": "tool", "content": "r"}, {"role": "assistant", "content": "a"}])";
  const Chat chat = chat_with_tools(asked + call + result, kLostTools);
  const SourceCounts lost = counts_of(chat, "chatml");
  CHECK(lost.lost_calls == 1);
  CHECK(lost.lost_tools == 1);
  CHECK(lost.lost_content == 0);
  CHECK(lost.lost_reasoning == 0);
  for (const BuiltinTemplate& builtin : builtin_templates()) {
    INFO(builtin.name);
    CHECK(counts_of(chat_with_tools(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])",
                                    kLostTools),
                    builtin.name)
              .lost_tools == 1);
  }
  const SourceCounts kept = counts_of(chat, kWholeTemplate);
  CHECK(kept.lost_calls + kept.lost_tools + kept.lost_content == 0);
  const std::string no_tools =
      "{% for m in messages if m.role in ['user', 'assistant'] %}{{ m.role + m.content }}<|im_end|>{% endfor %}"
      "{% if add_generation_prompt %}assistant{% endif %}";
  CHECK(counts_of(chat, no_tools).lost_content == 1);
}

TEST_CASE("a function_call of OpenAI's earlier rows is a call") {
  const Chat chat = chat_with_tools(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"x\": 1}"}},
    {"role": "function", "name": "f", "content": "1"}, {"role": "assistant", "content": "a"}])");
  REQUIRE(chat.messages.size() == 4);
  CHECK(chat.messages[1].fields["tool_calls"] == Json::parse(R"([{"type": "function",
    "function": {"name": "f", "arguments": {"x": 1}}}])"));
  CHECK_THROWS_WITH(counts_of(chat, "chatml"), Contains("which is 'tool_calls'"));
  CHECK(counts_of(chat, kWholeTemplate).lost_calls == 0);
}

TEST_CASE("words beside a call keep the answer, and the call is counted") {
  const Chat chat = chat_with_tools(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": "w", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}])");
  CHECK(counts_of(chat, "chatml").lost_calls == 1);
  CHECK(counts_of(chat, "chatml").answers == 1);
}

TEST_CASE("reasoning is counted where the template drops it from a trained answer") {
  const std::string drops = R"({% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content.split('</think>')[-1] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %})";
  const Chat inside = chat_with_tools(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": "<think>\nwhy\n</think>\n\na"}, {"role": "user", "content": "<think>q</think>"},
    {"role": "assistant", "content": "why</think>b"}])");
  CHECK(counts_of(inside, drops).lost_reasoning == 2);
  CHECK(counts_of(inside, drops, TrainOn::kLastTurn).lost_reasoning == 1);
  CHECK(counts_of(inside, "chatml").lost_reasoning == 0);
  const Chat apart = chat_with_tools(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": "a", "reasoning_content": "why"}])");
  CHECK(counts_of(apart, "chatml").lost_reasoning == 1);
  CHECK(counts_of(apart, kWholeTemplate).lost_reasoning == 0);
  const Chat none = chat_with_tools(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": "<think>\n\n</think>\n\na", "reasoning_content": " "}])");
  CHECK(counts_of(none, drops).lost_reasoning == 0);
  const Chat only = chat_with_tools(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": "", "thinking": "why"}])");
  CHECK_THROWS_WITH(counts_of(only, "chatml"), Contains("which is reasoning"));
}

TEST_CASE("an empty answer is not a lost one") {
  const Chat chat = chat_with_tools(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": ""}])");
  CHECK(counts_of(chat, "chatml").answers == 1);
}

TEST_CASE("answers before other messages that nothing ends are counted") {
  const std::string open = R"({% for m in messages %}<|im_start|>{{ m.role ~ ': ' ~ m.content }}{% endfor -%}
{% if add_generation_prompt %}<|im_start|>assistant: {% endif %})";
  const Chat chat = chat_with_tools(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"},
    {"role": "user", "content": "r"}, {"role": "assistant", "content": "b"}])");
  CHECK(counts_of(chat, open).open_answers == 1);
  CHECK(counts_of(chat, open).ended == 1);
  CHECK(counts_of(chat, "chatml").open_answers == 0);
}

}  // namespace
}  // namespace lora::test
