#include "lora/data/tokenizers/tokenizer_config.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

#include "lora/data/tokenizers/json_view.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

// "</s>", or {"content": "</s>", ...}.
std::string token_name(const JsonView& value) {
  return value.value().is_object() ? value.at("content").string() : value.string();
}

void read_names(const JsonView& file, TokenizerConfig& config) {
  const auto take = [&](const char* key, std::optional<std::string>* place) {
    const auto value = file.find(key);
    if (!value) return;
    const std::string name = token_name(*value);
    if (place && !*place) *place = name;
    config.special.push_back(name);
  };
  take("bos_token", &config.bos);
  take("eos_token", &config.eos);
  take("pad_token", &config.pad);
  for (const char* key : {"unk_token", "sep_token", "cls_token", "mask_token"}) take(key, nullptr);
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const auto names = file.find(key);
    if (!names || names->value().is_object()) continue;  // an object maps Python attributes to names
    for (const JsonView& name : names->elements()) config.special.push_back(token_name(name));
  }
}

int64_t read_id(const JsonView& place, const std::string& key) {
  int64_t id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size() || id < 0 || id > kMostIds) {
    place.fail("found '" + key + "', expected an id from 0 to " + std::to_string(kMostIds));
  }
  return id;
}

void read_config(const JsonView& file, TokenizerConfig& config) {
  read_names(file, config);
  const auto flag = [&](const char* key) -> std::optional<bool> {
    const auto value = file.find(key);
    return value ? std::optional(value->boolean()) : std::nullopt;
  };
  config.add_bos = flag("add_bos_token");
  config.add_eos = flag("add_eos_token");
  config.legacy = flag("legacy");
  config.has_config = true;
  config.type = file.string_or("tokenizer_class", "");
  const auto added = file.find("added_tokens_decoder");
  if (!added) return;
  config.has_added_tokens = true;
  for (const auto& [key, entry] : added->object().items()) {
    AddedToken token = read_added_token(added->at(key));
    token.id = read_id(*added, key);
    config.added.push_back(std::move(token));
  }
}

// As transformers does: beside a tokenizer_config.json with added_tokens_decoder the older special_tokens_map.json does
// not count; without, its names are the ones.
void read_names_map(const JsonView& file, TokenizerConfig& config) {
  if (config.has_added_tokens) return;
  TokenizerConfig own;
  read_names(file, own);
  for (const auto name : {&TokenizerConfig::bos, &TokenizerConfig::eos, &TokenizerConfig::pad}) {
    if (own.*name) config.*name = own.*name;
  }
  config.special.insert(config.special.end(), own.special.begin(), own.special.end());
}

// The model's reader says what is wrong with a config.json.
void read_model_type(const std::filesystem::path& path, TokenizerConfig& config) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  const auto model = parse_json_or_discard<nlohmann::json>(read_file(path));
  const auto text = [&](const char* key) {
    return model.is_object() && model.contains(key) && model[key].is_string() ? model[key].get<std::string>() : "";
  };
  config.model_type = text("model_type");
  if (config.type.empty()) config.type = text("tokenizer_class");
}

void read_added(const JsonView& file, TokenizerConfig& config) {
  std::unordered_set<std::string> known;
  for (const AddedToken& token : config.added) known.insert(token.content);
  for (const auto& [name, id] : file.object().items()) {
    if (known.contains(name)) continue;
    AddedToken token;
    token.content = name;
    token.id = file.at(name).integer(kMostIds);
    config.added.push_back(std::move(token));
  }
}

}  // namespace

AddedToken read_added_token(const JsonView& entry) {
  AddedToken token;
  token.content = entry.at("content").string();
  token.special = entry.boolean_or("special", false);
  token.single_word = entry.boolean_or("single_word", false);
  token.lstrip = entry.boolean_or("lstrip", false);
  token.rstrip = entry.boolean_or("rstrip", false);
  token.normalized = entry.boolean_or("normalized", !token.special);
  return token;
}

TokenizerConfig read_tokenizer_config(const std::filesystem::path& directory) {
  TokenizerConfig config;
  const auto read = [&](const char* name, void (*take)(const JsonView&, TokenizerConfig&)) {
    const auto path = directory / name;
    if (!std::filesystem::exists(path)) return;
    const nlohmann::json document = read_json(path);
    take(JsonView(document, path.string()), config);
    config.files.push_back(path);
  };
  read("tokenizer_config.json", read_config);
  read_model_type(directory / "config.json", config);
  if (config.type.ends_with("Fast")) config.type.resize(config.type.size() - 4);
  read("special_tokens_map.json", read_names_map);
  read("added_tokens.json", read_added);
  const auto chat_template = directory / "chat_template.jinja";
  if (std::filesystem::is_regular_file(chat_template)) config.files.push_back(chat_template);
  const std::unordered_set<std::string_view> special(config.special.begin(), config.special.end());
  for (AddedToken& token : config.added) token.special |= special.contains(token.content);
  return config;
}

}  // namespace lora
