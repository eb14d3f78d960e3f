#include "lora/data/lost.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "lora/data/turns.h"
#include "models/base/error.h"

namespace lora {
namespace {

constexpr std::array kNamedParts = {MessagePart::kContent, MessagePart::kReasoning, MessagePart::kCalls};

bool has_reasoning(const ChatMessage& message) {
  for (const std::string& name : reasoning_fields()) {
    const auto found = message.fields.find(name);
    if (found != message.fields.end()) return !found->is_string() || !only_blanks(found->get<std::string>());
  }
  const auto [begin, end] = reasoning_in(message);
  std::string_view marked = std::string_view(message.content()).substr(begin, end - begin);
  for (const std::string_view mark : {"<think>", "</think>"}) {
    if (marked.starts_with(mark)) marked.remove_prefix(mark.size());
    if (marked.ends_with(mark)) marked.remove_suffix(mark.size());
  }
  return !only_blanks(marked);
}

bool has_part(const ChatMessage& message, MessagePart part) {
  if (part == MessagePart::kReasoning) return has_reasoning(message);
  if (part == MessagePart::kContent) {
    const auto [begin, end] = reasoning_in(message);
    const std::string_view words = message.content();
    return !only_blanks(words.substr(0, begin)) || !only_blanks(words.substr(end));
  }
  const auto calls = message.fields.find("tool_calls");
  return calls != message.fields.end() && !calls->empty();
}

// The parts of a message as bits.
class Parts {
 public:
  void add(MessagePart part) { bits_ |= 1U << static_cast<unsigned>(part); }
  bool has(MessagePart part) const { return (bits_ >> static_cast<unsigned>(part) & 1U) != 0; }

 private:
  unsigned bits_ = 0;
};

[[noreturn]] void refuse_empty(const ChatTemplate& chat_template, size_t message, MessagePart part) {
  const char* name = part == MessagePart::kCalls       ? "'tool_calls'"
                     : part == MessagePart::kReasoning ? "reasoning"
                                                       : "'content'";
  throw DataError("messages[" + std::to_string(message) + "]: the chat template (" + chat_template.name() +
                  ") writes nothing of this answer, which is " + name +
                  "; the model would learn to answer nothing; expected a data.template that has a place for it, or "
                  "'weight': 0 on the answer");
}

}  // namespace

bool loses_tools(const Chat& chat, const jinja::Text& text) {
  return !chat.tools.is_null() && std::ranges::count(text.runs(), ChatTemplate::kToolsOrigin, &jinja::Run::origin) == 0;
}

SourceCounts lost_parts(const ChatTemplate& chat_template, const Chat& chat, const jinja::Text& text,
                        const std::vector<size_t>& trained) {
  SourceCounts counts;
  std::vector<Parts> written(chat.messages.size());
  const std::string_view bytes = text.bytes();
  for (const MessageRun& run : message_runs(text)) {
    if (!only_blanks(bytes.substr(run.begin, run.end - run.begin))) written[run.message].add(run.part);
  }
  counts.lost_tools = loses_tools(chat, text);
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    const ChatMessage& message = chat.messages[i];
    const bool is_trained = std::ranges::binary_search(trained, i);
    std::vector<MessagePart> lost;
    bool any = false;
    for (const MessagePart part : kNamedParts) {
      if (!has_part(message, part)) continue;
      any |= written[i].has(part);
      if (!written[i].has(part)) lost.push_back(part);
    }
    if (is_trained && message.role() == "assistant" && !any && !lost.empty()) {
      refuse_empty(chat_template, i, lost.back());
    }
    for (const MessagePart part : lost) {
      counts.lost_content += part == MessagePart::kContent;
      counts.lost_calls += part == MessagePart::kCalls;
      counts.lost_reasoning += part == MessagePart::kReasoning && is_trained;
    }
  }
  return counts;
}

}  // namespace lora
