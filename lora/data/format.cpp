#include "lora/data/format.h"

#include <algorithm>

#include "lora/data/formats/formats.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

std::string quoted_list(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "'" : ", '") + name + "'";
  return list;
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      {"alpaca", {"instruction", "input", "output"}, make_alpaca, {"input"}, Turns::kIfAsked},
      {"chat", {"messages", "tools"}, make_chat, {"tools"}, Turns::kAlways},
      {"classification", {"text", "label"}, make_classification},
      {"completion", {"prompt", "completion"}, make_completion, {}, Turns::kIfAsked},
      {"preference", {"prompt", "input", "chosen", "rejected"}, make_preference, {"prompt", "input"}, Turns::kAlways},
      {"sharegpt", {"conversations", "system", "tools"}, make_sharegpt, {"system", "tools"}, Turns::kAlways},
      {"text", {"text"}, make_text},
  };
  return all;
}

const Format& format_of(const DataSource& source) {
  const auto& all = formats();
  const auto format = std::find_if(all.begin(), all.end(), [&](const Format& f) { return f.name == source.format; });
  if (format == all.end()) {
    std::vector<std::string> names;
    for (const Format& known : all) names.push_back(known.name);
    throw RecipeError("data: unknown format '" + source.format + "' of " + source.path +
                      ", wanted one of: " + quoted_list(names) + did_you_mean(source.format, names));
  }
  for (const auto& [column, name] : source.fields) {
    const auto& columns = format->columns;
    if (std::find(columns.begin(), columns.end(), column) == columns.end()) {
      throw RecipeError("data: `fields` of " + source.path + " renames '" + column + "' to '" + name +
                        "', but format '" + format->name + "' reads " + quoted_list(columns) +
                        did_you_mean(column, columns));
    }
  }
  return *format;
}

}  // namespace lora
