// A chat template, rendered for a conversation with tools. The limits are smaller than those of a run, since an input
// may take a second at most, with the sanitizers' checks.

#include <nlohmann/json.hpp>

#include "lora/jinja/template.h"
#include "tests/fuzz/target.h"

namespace {

const std::vector<std::pair<std::string, lora::jinja::Value>>& variables() {
  static const std::vector<std::pair<std::string, lora::jinja::Value>> values = [] {
    const auto json = nlohmann::ordered_json::parse(R"({
      "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 6 × 7? <b>&amp;"},
        {"role": "assistant", "content": "<think>six</think>42\n", "reasoning_content": "six",
         "tool_calls": [{"type": "function", "id": "a1",
                         "function": {"name": "times", "arguments": {"a": 6, "b": 7.5, "c": [true, null]}}}]},
        {"role": "tool", "content": "42", "name": "times", "tool_call_id": "a1"},
        {"role": "user", "content": " Thanks \t"}],
      "tools": [{"type": "function", "function": {"name": "times", "description": "multiplies",
                 "parameters": {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}}}]})");
    std::vector<std::pair<std::string, lora::jinja::Value>> result;
    for (const auto& item : json.items()) result.emplace_back(item.key(), lora::jinja::from_json(item.value(), 1));
    result.emplace_back("add_generation_prompt", lora::jinja::Value(true));
    result.emplace_back("documents", lora::jinja::None{});
    result.emplace_back("bos_token", lora::jinja::text("<s>"));
    result.emplace_back("eos_token", lora::jinja::text("</s>"));
    return result;
  }();
  return values;
}

}  // namespace

FUZZ_TARGET(chat_template) {
  try {
    const lora::jinja::Template parsed{std::string(input)};
    parsed.render(variables(), {2024, 7, 26}, {.steps = 10'000, .bytes = 1 << 16, .made_bytes = 1 << 18});
  } catch (const lora::jinja::TemplateError&) {
  }
}
