#include "lora/data/chat_template.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Source {
  std::string where, text, tools_text;
};

std::string read_template(const fs::path& path) {
  constexpr size_t kMost = size_t{1} << 22;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMost + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (!file.is_open() || file.bad()) throw ModelError(path.string() + ": cannot be read");
  if (text.size() > kMost) throw ModelError(path.string() + ": larger than 4 MiB; expected a chat template");
  return text;
}

// The model's own, or one without text.
Source own_template(const Tokenizer& tokenizer) {
  if (tokenizer.files().empty()) return {};
  const fs::path directory = tokenizer.files().front().parent_path();
  const fs::path file = directory / "chat_template.jinja", config_path = directory / "tokenizer_config.json";
  if (fs::is_regular_file(file)) {
    const fs::path tools = directory / "additional_chat_templates" / "tool_use.jinja";
    return {"chat_template.jinja", read_template(file), fs::is_regular_file(tools) ? read_template(tools) : ""};
  }
  if (!fs::is_regular_file(config_path)) return {};
  const Json config = Json::parse(read_template(config_path), nullptr, false);
  if (!config.is_object() || !config.contains("chat_template")) return {};
  const Json& found = config["chat_template"];
  const auto refuse = [&] {
    throw ModelError(config_path.string() + ": 'chat_template' is " + found.type_name() +
                     ", expected text or a list of {name, template}");
  };
  Source source{"tokenizer_config.json", "", ""};
  if (found.is_null()) return {};
  if (found.is_string()) {
    source.text = found.get<std::string>();
    return source;
  }
  if (!found.is_array()) refuse();
  for (const Json& one : found) {
    if (!one.is_object() || !one.value("name", Json()).is_string() || !one.value("template", Json()).is_string())
      refuse();
    if (one["name"] == "default") source.text = one["template"];
    if (one["name"] == "tool_use") source.tools_text = one["template"];
  }
  if (source.text.empty()) throw ModelError(config_path.string() + ": of its chat templates none is called 'default'");
  return source;
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

jinja::Template read_template(const std::string& name, const std::string& source) {
  try {
    return jinja::Template(source);
  } catch (const jinja::TemplateError& error) {
    throw ModelError("chat template, " + name + ": " + error.what());
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::string name, const std::string& source, const std::string& tools_source,
                           std::vector<std::pair<std::string, std::string>> tokens)
    : name_(std::move(name)), template_(read_template(name_, source)), tokens_(std::move(tokens)) {
  if (!tools_source.empty()) {
    with_tools_ = std::make_unique<jinja::Template>(read_template(name_ + ", tool_use", tools_source));
  }
  key_ = Json::array({source, tools_source, tokens_}).dump(-1, ' ', false, Json::error_handler_t::replace);
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

jinja::Text ChatTemplate::render(const Chat& chat, size_t count, bool add_generation_prompt,
                                 const jinja::Date& now) const {
  const auto rendered = [&](bool text_calls) {
    jinja::List messages;
    for (size_t i = 0; i < count; ++i) messages.items.push_back(message_value(chat.messages[i], i, text_calls));
    std::vector<std::pair<std::string, jinja::Value>> variables = {
        {"messages", std::move(messages)},
        {"tools", jinja::from_json(chat.tools, kToolsOrigin)},
        {"documents", jinja::None{}},
        {"add_generation_prompt", jinja::Value(add_generation_prompt)}};
    for (size_t i = 0; i < tokens_.size(); ++i) {
      variables.emplace_back(tokens_[i].first,
                             jinja::text(tokens_[i].second, kTokenOrigin - static_cast<jinja::Origin>(i)));
    }
    return for_chat(chat).render(variables, now);
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

std::shared_ptr<const ChatTemplate> find_chat_template(const std::string& chosen, const Tokenizer& tokenizer) {
  const auto make = [&](const std::string& name, const std::string& source, const std::string& tools = "") {
    return std::make_shared<const ChatTemplate>(name, source, tools, special_tokens(tokenizer));
  };
  if (chosen == "auto" || chosen == "model") {
    const Source own = own_template(tokenizer);
    if (!own.text.empty()) return make("the model's own, of " + own.where, own.text, own.tools_text);
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
  if (is_template_path(chosen)) return make(chosen, read_template(chosen));
  if (const BuiltinTemplate* builtin = find_row(builtin_templates(), chosen)) return make(chosen, builtin->source);
  throw RecipeError("data.template: unknown '" + chosen + "'" + name_hint(template_names(), chosen) +
                    "; expected auto, model, a name, a path that ends in .jinja or a template");
}

}  // namespace lora
