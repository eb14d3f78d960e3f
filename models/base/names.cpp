#include "models/base/names.h"

#include <algorithm>

#include "models/base/did_you_mean.h"

namespace lora {

bool accepts(const Names& names, const std::string& name) {
  return std::ranges::any_of(names.known, [&](const std::string& known) {
    if (!known.ends_with("_N")) return name == known;
    const std::string stem = known.substr(0, known.size() - 1),
                      digits = name.substr(std::min(name.size(), stem.size()));
    const bool number =
        !digits.empty() && digits.size() <= 3 && digits.find_first_not_of("0123456789") == std::string::npos;
    return name.starts_with(stem) && number;
  });
}

std::string name_hint(const Names& names, const std::string& name) {
  for (const auto& [other, ours] : names.elsewhere) {
    if (name == other) return " (did you mean '" + ours + "'?)";
  }
  return did_you_mean(name, names.known);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace lora
