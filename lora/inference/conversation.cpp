#include "lora/inference/conversation.h"

#include "lora/data/whole_sample.h"
#include "lora/inference/chat_prompt.h"

namespace lora {

Conversation::Conversation(const Tokenizer& tokenizer, std::shared_ptr<const ChatTemplate> chat_template,
                           std::string system, GenerationConfig config)
    : tokenizer_(tokenizer),
      template_(std::move(chat_template)),
      system_(std::move(system)),
      config_(std::move(config)) {
  const std::vector<int64_t> ends = end_of_turn_ids(tokenizer_, *template_);
  config_.eos_ids.insert(config_.eos_ids.end(), ends.begin(), ends.end());
  reset();
}

StreamedAnswer Conversation::say(LlamaForCausalLM& model, const std::string& text, const OnText& on_text) {
  Chat chat = chat_;
  chat.messages.push_back(chat_message("user", text));
  const std::vector<int64_t> prompt = chat_prompt(tokenizer_, *template_, chat);
  if (!generator_) generator_.emplace(model, config_.kv_dtype);
  StreamedAnswer answer = stream_answer(*generator_, tokenizer_, prompt, config_, on_text);
  chat.messages.push_back(chat_message("assistant", answer.text));
  chat_ = std::move(chat);
  return answer;
}

void Conversation::reset() {
  chat_.messages.clear();
  if (!system_.empty()) chat_.messages.push_back(chat_message("system", system_));
}

}  // namespace lora
