#pragma once
// Chat templates: which one a recipe means, and a conversation as text.

#include <memory>
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

class ChatTemplate {
 public:
  // Origins (see jinja::Text) of a rendering: message i has the data of origin i + 1, the tools kToolsOrigin; all else
  // is the template's.
  static constexpr jinja::Origin kToolsOrigin = INT32_MAX;

  // `tokens` are the special tokens that it may name: {"bos_token", "<s>"}. Throws ModelError "NAME: line 3: …".
  ChatTemplate(std::string name, TemplateFiles files, std::vector<std::pair<std::string, std::string>> tokens);

  // The first `count` messages. Throws DataError with what the template has against them.
  jinja::Text render(const Chat& chat, size_t count, bool add_generation_prompt,
                     const jinja::Date& now = kTrainingDate) const;

  const std::string& name() const { return name_; }
  // What it was made of, for write_template_files().
  const TemplateFiles& files() const { return files_; }
  // Everything that decides a rendering, as text.
  const std::string& key() const { return key_; }
  // Whether it says itself what the assistant wrote, by {% generation %}.
  bool marks_answers(const Chat& chat) const { return for_chat(chat).marks_generation(); }

 private:
  const jinja::Template& for_chat(const Chat& chat) const;

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
