#pragma once
// Chat templates: which one a recipe means, and a conversation as text.

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lora/data/chat.h"
#include "lora/data/template_files.h"
#include "lora/data/tokenizer.h"
#include "lora/jinja/template.h"
#include "models/base/names.h"

namespace lora {

// The day that strftime_now tells while training: always the same, so that the same rows make the same samples (it is
// the one that Llama's templates fall back to).
inline constexpr jinja::Date kTrainingDate{2024, 7, 26};

// The part of a message that a byte stems from. kReasoning is `reasoning_content`, `thinking` or `reasoning`, and
// <think>…</think> in an answer's content.
enum class MessagePart { kOther, kContent, kReasoning, kCalls };

class ChatTemplate {
 public:
  // Origins (see jinja::Text) of a rendering: each part of a message has one of its own, which message_of and part_of
  // tell, and the tools have kToolsOrigin. All else is the template's.
  static constexpr jinja::Origin kToolsOrigin = INT32_MAX;
  static constexpr jinja::Origin origin_of(size_t message, MessagePart part) {
    return static_cast<jinja::Origin>(message) * kParts + static_cast<jinja::Origin>(part) + 1;
  }
  static constexpr bool is_message(jinja::Origin origin) { return origin > 0 && origin != kToolsOrigin; }
  static constexpr size_t message_of(jinja::Origin origin) { return static_cast<size_t>((origin - 1) / kParts); }
  static constexpr MessagePart part_of(jinja::Origin origin) { return static_cast<MessagePart>((origin - 1) % kParts); }
  // True for the text of bos_token, eos_token and pad_token.
  static constexpr bool is_token(jinja::Origin origin) { return origin <= kTokenOrigin && origin > kRoleOrigin; }

  // `tokens` are the special tokens that it may name: {"bos_token", "<s>"}. Throws ModelError "NAME: line 3: …".
  ChatTemplate(std::string name, TemplateFiles files, std::vector<std::pair<std::string, std::string>> tokens);

  // The first `count` messages. A template that refuses them gets the arguments of calls as JSON text, where the row
  // has them so. Throws DataError with what the template has against the messages.
  // `unread`, where it is given, gains the keys of these messages that hold something and that the template does not
  // look at, beside those of which lost.h tells: content, calls and reasoning.
  jinja::Text render(const Chat& chat, size_t count, bool add_generation_prompt, const jinja::Date& now = kTrainingDate,
                     std::set<std::string>* unread = nullptr) const;

  const std::string& name() const { return name_; }
  // What it was made of, for write_template_files().
  const TemplateFiles& files() const { return files_; }
  // Everything that decides a rendering, as text.
  const std::string& key() const { return key_; }
  // Whether it says itself what the assistant wrote, by {% generation %}.
  bool marks_answers(const Chat& chat) const { return for_chat(chat).marks_generation(); }

 private:
  // Trusted text that templates put together with their own: '<|' + message.role + '|>'.
  static constexpr jinja::Origin kTokenOrigin = -10, kRoleOrigin = -20;
  static constexpr jinja::Origin kParts = 4;

  const jinja::Template& for_chat(const Chat& chat) const;
  static jinja::Value message_value(const ChatMessage& message, size_t index, bool text_calls);

  std::string name_, key_;
  TemplateFiles files_;
  jinja::Template template_;
  std::unique_ptr<jinja::Template> with_tools_;
  std::vector<std::pair<std::string, std::string>> tokens_;
};

// The template that `template` in a recipe stands for:
//   auto        the model's own (chat_template.jinja, or `chat_template` in tokenizer_config.json); without one, chatml
//               where the tokenizer has its special tokens, else plain
//   model       the model's own; ModelError where there is none
//   a name      of builtin_templates()
//   text with {{ or {%, or a path that ends in .jinja: a template
// name() says which one it is and why. Throws RecipeError for another name, ModelError for a template that cannot be
// read.
std::shared_ptr<const ChatTemplate> find_chat_template(const std::string& chosen, const Tokenizer& tokenizer);

// The template that a checkpoint's or an adapter's directory has; null if it has none.
std::shared_ptr<const ChatTemplate> stored_chat_template(const std::filesystem::path& directory,
                                                         const Tokenizer& tokenizer);

// A template that has a name; they are in templates/builtin.cpp.
struct BuiltinTemplate {
  std::string name, source;
  std::vector<std::string> elsewhere = {};  // other tools' names for it
};
const std::vector<BuiltinTemplate>& builtin_templates();

// The names that a recipe's `template` accepts: auto, model and those of builtin_templates().
const Names& template_names();

// Whether `chosen` is a template itself, or a path of one, rather than a name.
bool is_template_text(const std::string& chosen);  // it has {{ or {%
bool is_template_path(const std::string& chosen);  // it ends in .jinja

}  // namespace lora
