#pragma once
// A conversation with a model, by its chat template.

#include <memory>
#include <string>

#include "lora/data/chat_template.h"
#include "lora/run/stream.h"

namespace lora {

class Conversation {
 public:
  // `system` may be empty. The template's ends of turns are added to config.eos_ids. Borrows the tokenizer.
  Conversation(const Tokenizer& tokenizer, std::shared_ptr<const ChatTemplate> chat_template, std::string system,
               GenerationConfig config);

  // Answers, given all that was said before; the answer is part of that from now on. A failed answer leaves no trace.
  StreamedAnswer say(LlamaForCausalLM& model, const std::string& text,
                     const std::function<void(std::string_view text)>& on_text);
  // Forgets what was said, but for the system's words.
  void reset();

 private:
  const Tokenizer& tokenizer_;
  std::shared_ptr<const ChatTemplate> template_;
  std::string system_;
  GenerationConfig config_;
  Chat chat_;
};

}  // namespace lora
