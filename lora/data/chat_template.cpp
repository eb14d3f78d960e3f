#include "lora/data/chat_template.h"

#include <algorithm>

#include "lora/data/template_files.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

// The model's own; without text if there is none.
TemplateFiles own_template(const Tokenizer& tokenizer) {
  if (tokenizer.files().empty()) return {};
  return read_template_files(tokenizer.files().front().parent_path());
}

std::vector<std::pair<std::string, std::string>> special_tokens(const Tokenizer& tokenizer) {
  std::vector<std::pair<std::string, std::string>> tokens;
  const auto add = [&](const char* name, std::optional<int64_t> id) {
    if (id) tokens.emplace_back(name, tokenizer.piece(*id));
  };
  add("bos_token", tokenizer.bos_id());
  add("eos_token", tokenizer.eos_id());
  add("pad_token", tokenizer.pad_id());
  return tokens;
}

MessagePart part_of_field(const std::string& name) {
  if (name == "content") return MessagePart::kContent;
  if (name == "tool_calls" || name == "function_call") return MessagePart::kCalls;
  return std::ranges::count(reasoning_fields(), name) > 0 ? MessagePart::kReasoning : MessagePart::kOther;
}

void add_unread(const ChatMessage& message, const std::set<std::string>& asked, std::set<std::string>& unread) {
  for (const auto& item : message.fields.items()) {
    const Json& value = item.value();
    const bool nothing = value == "" || (value.is_structured() && value.empty());
    if (item.key() == "role" || part_of_field(item.key()) != MessagePart::kOther || nothing) continue;
    if (!asked.contains(item.key())) unread.insert(item.key());
  }
}

jinja::Template parsed_template(const std::string& name, const std::string& source) {
  try {
    return jinja::Template(source);
  } catch (const jinja::TemplateError& error) {
    throw ModelError("chat template, " + name + ": " + error.what());
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::string name, TemplateFiles files,
                           std::vector<std::pair<std::string, std::string>> tokens)
    : name_(std::move(name)),
      files_(std::move(files)),
      template_(parsed_template(name_, files_.text)),
      tokens_(std::move(tokens)) {
  const std::string tools = files_.tools_text();
  if (!tools.empty()) with_tools_ = std::make_unique<jinja::Template>(parsed_template(name_ + ", tool_use", tools));
  key_ = Json::array({files_.text, tools, tokens_}).dump(-1, ' ', false, Json::error_handler_t::replace);
}

jinja::Value ChatTemplate::message_value(const ChatMessage& message, size_t index, bool text_calls) {
  const auto origin = [&](MessagePart part) { return origin_of(index, part); };
  jinja::Dict dict{.entries = {}, .origin = origin(MessagePart::kOther)};
  for (const auto& item : message.fields.items()) {
    const MessagePart part = part_of_field(item.key());
    jinja::Value value = jinja::from_json(item.value(), item.key() == "role" ? kRoleOrigin : origin(part));
    if (part == MessagePart::kContent) {
      const std::string& words = message.content();
      const auto [begin, end] = reasoning_in(message);
      jinja::Text text;
      text.append(std::string_view(words).substr(0, begin), origin(part));
      text.append(std::string_view(words).substr(begin, end - begin), origin(MessagePart::kReasoning));
      text.append(std::string_view(words).substr(end), origin(part));
      value = std::move(text);
    }
    if (part == MessagePart::kCalls && text_calls && !message.text_calls.is_null()) {
      value = jinja::from_json(message.text_calls, origin(part));
    }
    dict.entries.emplace_back(jinja::text(item.key(), dict.origin), std::move(value));
  }
  // Templates read one of the first two names of reasoning.
  for (const std::string& name : reasoning_fields()) {
    const auto found = message.fields.find(name);
    if (found == message.fields.end()) continue;
    const jinja::Value reasoning = jinja::from_json(*found, origin(MessagePart::kReasoning));
    dict.set(jinja::text("reasoning_content"), reasoning);
    if (!dict.find("thinking")) dict.set(jinja::text("thinking"), reasoning);
    break;
  }
  return dict;
}

const jinja::Template& ChatTemplate::for_chat(const Chat& chat) const {
  return with_tools_ && !chat.tools.is_null() ? *with_tools_ : template_;
}

jinja::Text ChatTemplate::render(const Chat& chat, size_t count, bool add_generation_prompt, const jinja::Date& now,
                                 std::set<std::string>* unread) const {
  const auto rendered = [&](bool text_calls) {
    jinja::List messages;
    std::vector<std::shared_ptr<std::set<std::string>>> asked;
    for (size_t i = 0; i < count; ++i) {
      messages.items.push_back(message_value(chat.messages[i], i, text_calls));
      if (unread) asked.push_back(messages.items.back().dict()->asked = std::make_shared<std::set<std::string>>());
    }
    std::vector<std::pair<std::string, jinja::Value>> variables = {
        {"messages", std::move(messages)},
        {"tools", jinja::from_json(chat.tools, kToolsOrigin)},
        {"documents", jinja::None{}},
        {"add_generation_prompt", jinja::Value(add_generation_prompt)}};
    for (size_t i = 0; i < tokens_.size(); ++i) {
      variables.emplace_back(tokens_[i].first,
                             jinja::text(tokens_[i].second, kTokenOrigin - static_cast<jinja::Origin>(i)));
    }
    jinja::Text text = for_chat(chat).render(variables, now);
    for (size_t i = 0; i < asked.size(); ++i) add_unread(chat.messages[i], *asked[i], *unread);
    return text;
  };
  std::string problem;
  try {
    return rendered(false);
  } catch (const jinja::TemplateError& error) {
    problem = error.what();
  }
  for (size_t i = 0; i < count; ++i) {
    if (chat.messages[i].text_calls.is_null()) continue;
    try {
      return rendered(true);
    } catch (const jinja::TemplateError&) {
      break;  // for another reason, which the first rendering had too
    }
  }
  throw DataError("chat template, " + name_ + ": " + problem);
}

const Names& template_names() {
  static const Names names =
      with_rows({{"auto", "model"}, {{"tokenizer_default", "model"}, {"chat_template", "model"}, {"default", "auto"}}},
                builtin_templates());
  return names;
}

bool is_template_text(const std::string& chosen) {
  return chosen.find("{{") != std::string::npos || chosen.find("{%") != std::string::npos;
}

bool is_template_path(const std::string& chosen) { return chosen.ends_with(".jinja"); }

std::shared_ptr<const ChatTemplate> stored_chat_template(const std::filesystem::path& directory,
                                                         const Tokenizer& tokenizer) {
  TemplateFiles files = read_template_files(directory);
  if (files.text.empty()) return nullptr;
  const std::string name = (directory / files.where).string();
  return std::make_shared<const ChatTemplate>(name, std::move(files), special_tokens(tokenizer));
}

std::shared_ptr<const ChatTemplate> find_chat_template(const std::string& chosen, const Tokenizer& tokenizer) {
  const auto make_of = [&](const std::string& name, TemplateFiles files) {
    return std::make_shared<const ChatTemplate>(name, std::move(files), special_tokens(tokenizer));
  };
  const auto make = [&](const std::string& name, const std::string& source) {
    return make_of(name, {.where = "", .text = source});
  };
  if (chosen == "auto" || chosen == "model") {
    const TemplateFiles own = own_template(tokenizer);
    if (!own.text.empty()) return make_of("the model's own, of " + own.where, own);
    if (chosen == "model") {
      throw ModelError(
          "data.template: the model has no chat template of its own, neither chat_template.jinja nor "
          "chat_template in tokenizer_config.json; name one, or leave it to auto");
    }
    const bool chatml = tokenizer.id_of("<|im_start|>") && tokenizer.id_of("<|im_end|>");
    const std::string name = chatml ? "chatml" : "plain";
    return make(name + ": the model has none of its own, and its tokenizer " + (chatml ? "has" : "has not") +
                    " the special tokens of chatml",
                find_row(builtin_templates(), name)->source);
  }
  if (is_template_text(chosen)) return make("the recipe's", chosen);
  if (is_template_path(chosen)) return make(chosen, read_template_text(chosen));
  if (const BuiltinTemplate* builtin = find_row(builtin_templates(), chosen)) return make(chosen, builtin->source);
  throw RecipeError("data.template: unknown '" + chosen + "'" + name_hint(template_names(), chosen) +
                    "; expected auto, model, a name, a path that ends in .jinja or a template");
}

}  // namespace lora
