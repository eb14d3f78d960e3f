#include "lora/data/template_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"
#include "models/base/utf8.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char *kTemplateFile = "chat_template.jinja", *kTemplateFolder = "additional_chat_templates";
constexpr const char *kTemplateConfig = "tokenizer_config.json", *kTemplateKey = "chat_template";
constexpr const char* kToolsName = "tool_use";

// An export and a checkpoint write each template to a file of its name.
constexpr size_t kLongestName = 200;
bool is_file_name(const std::string& name) {
  return !name.empty() && name.size() <= kLongestName && name.find('/') == name.npos && name.find('\0') == name.npos;
}

// Sorted, so that the order does not depend on the file system.
std::vector<fs::path> additional_paths(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(directory / kTemplateFolder, ignored)) {
    if (item.path().extension() == ".jinja") paths.push_back(item.path());
  }
  std::ranges::sort(paths);
  return paths;
}

std::string read_up_to_limit(const fs::path& path) {
  constexpr size_t kMost = size_t{1} << 22;
  std::string text = read_beginning(path, kMost + 1);
  if (text.size() > kMost) throw ModelError(path.string() + ": larger than 4 MiB; expected a chat template");
  return text;
}

Json read_template_config(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  Json config = parse_json_or_discard<Json>(read_up_to_limit(path));
  return config.is_object() ? config : Json::object();  // the tokenizer's reader says what is wrong with it
}

TemplateFiles from_config(const Json& config, const fs::path& path) {
  const Json found = config.value(kTemplateKey, Json());
  const auto refuse = [&] {
    throw ModelError(path.string() + ": 'chat_template' is " + found.type_name() +
                     ", expected text or a list of {name, template}");
  };
  TemplateFiles templates{kTemplateConfig, ""};
  if (found.is_null()) return {};
  if (found.is_string()) {
    templates.text = found.get<std::string>();
    return templates;
  }
  if (!found.is_array()) refuse();
  std::set<std::string> names;
  for (const Json& one : found) {
    if (!one.is_object() || !one.value("name", Json()).is_string() || !one.value("template", Json()).is_string())
      refuse();
    const std::string name = one["name"];
    if (!is_file_name(name)) {
      throw ModelError(path.string() +
                       ": the name of a chat template cannot be the name of a file; expected one such as "
                       "tool_use, found '" +
                       name.substr(0, kLongestName) + "'");
    }
    if (!names.insert(name).second) {
      throw ModelError(path.string() + ": two chat templates are called '" + name + "', expected a name for each");
    }
    if (name == "default") {
      templates.text = one["template"];
    } else {
      templates.others.emplace_back(name, one["template"]);
    }
  }
  if (templates.text.empty()) throw ModelError(path.string() + ": of its chat templates none is called 'default'");
  return templates;
}

Json to_config_value(const TemplateFiles& templates) {
  if (templates.others.empty()) return templates.text;
  Json list = Json::array({{{"name", "default"}, {"template", templates.text}}});
  for (const auto& [name, text] : templates.others) list.push_back({{"name", name}, {"template", text}});
  return list;
}

}  // namespace

std::string TemplateFiles::tools_text() const {
  const auto found = std::ranges::find(others, kToolsName, [](const auto& other) { return other.first; });
  return found == others.end() ? "" : found->second;
}

std::string read_template_text(const fs::path& path) {
  std::string text = read_up_to_limit(path);
  if (!is_utf8(text)) throw ModelError(path.string() + ": not UTF-8; expected a chat template");
  return text;
}

TemplateFiles read_template_files(const fs::path& directory) {
  if (!fs::exists(directory / kTemplateFile)) {
    return from_config(read_template_config(directory / kTemplateConfig), directory / kTemplateConfig);
  }
  TemplateFiles templates{kTemplateFile, read_template_text(directory / kTemplateFile)};
  for (const fs::path& path : additional_paths(directory)) {
    const std::string name = path.stem().string();
    if (!is_utf8(name)) {
      throw ModelError((directory / kTemplateFolder).string() + ": the name of a chat template is not UTF-8");
    }
    templates.others.emplace_back(name, read_template_text(path));
  }
  return templates;
}

std::vector<fs::path> template_paths(const fs::path& directory) {
  if (!fs::exists(directory / kTemplateFile)) return {};
  std::vector<fs::path> paths = additional_paths(directory);
  paths.insert(paths.begin(), directory / kTemplateFile);
  return paths;
}

void write_template_files(const fs::path& directory, const TemplateFiles& templates) {
  if (read_template_files(directory).same_texts(templates)) return;
  const fs::path config_path = directory / kTemplateConfig, file = directory / kTemplateFile;
  const bool in_file = fs::exists(file) || !fs::exists(config_path);
  for (const auto& [name, text] : templates.others) {  // before anything is written
    if (in_file && !is_file_name(name)) {
      throw StorageError(file.string() + ": '" + name + "' cannot be the name of a file");
    }
  }
  Json config = read_template_config(config_path);
  if (!in_file) config[kTemplateKey] = to_config_value(templates);
  if (!in_file || config.erase(kTemplateKey) > 0) {
    write_file_atomically(config_path, config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  if (!in_file) return;
  for (const fs::path& path : additional_paths(directory)) fs::remove(path);
  write_file_atomically(file, templates.text);
  for (const auto& [name, text] : templates.others) {
    fs::create_directories(directory / kTemplateFolder);
    write_file_atomically(directory / kTemplateFolder / (name + ".jinja"), text);
  }
}

}  // namespace lora
