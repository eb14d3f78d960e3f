#pragma once
// A conversation with a model, by its chat template.

#include <memory>
#include <string>

#include "lora/data/chat_template.h"
#include "lora/inference/streamed_answer.h"

namespace lora {

class Conversation {
 public:
  // `system` may be empty. The template's ends of turns are added to config.eos_ids. Borrows the tokenizer.
  Conversation(const Tokenizer& tokenizer, std::shared_ptr<const ChatTemplate> chat_template, std::string system,
               GenerationConfig config);

  // Answers, given all that was said before, of which the model reads only what it has not; the answer is part of that
  // from now on. A failed answer leaves no trace.
  StreamedAnswer say(LlamaForCausalLM& model, const std::string& text,
                     const std::function<void(std::string_view text)>& on_text);
  // Forgets what was said, but for the system's words.
  void reset();
  // To be called when the model answers with another adapter than before: it reads everything again.
  void model_changed() { known_ = {}; }

 private:
  const Tokenizer& tokenizer_;
  std::shared_ptr<const ChatTemplate> template_;
  std::string system_;
  GenerationConfig config_;
  Chat chat_;
  KnownText known_;
};

}  // namespace lora
