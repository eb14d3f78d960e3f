#pragma once
// A conversation with a model, formatted by its chat template.

#include <memory>
#include <optional>
#include <string>

#include "lora/data/chat_template.h"
#include "lora/inference/streamed_answer.h"

namespace lora {

class Conversation {
 public:
  // `system` may be empty. Adds the template's end-of-turn tokens to config.eos_ids. Borrows the tokenizer.
  Conversation(const Tokenizer& tokenizer, std::shared_ptr<const ChatTemplate> chat_template, std::string system,
               GenerationConfig config);

  // Answers in the context of the whole conversation, and adds the answer to it. The model, the same each time, reads
  // only the tokens that it does not know yet. An answer that on_text ends is part of the conversation as far as it came.
  // If it throws, the conversation is unchanged.
  StreamedAnswer say(LlamaForCausalLM& model, const std::string& text, const OnText& on_text);
  // Forgets the conversation, except for the system message.
  void reset();
  // Call this after the model's adapter changes: the next answer reads the whole conversation again.
  void model_changed() { generator_.reset(); }

 private:
  const Tokenizer& tokenizer_;
  std::shared_ptr<const ChatTemplate> template_;
  std::string system_;
  GenerationConfig config_;
  Chat chat_;
  std::optional<Generator> generator_;
};

}  // namespace lora
