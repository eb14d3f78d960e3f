#include "lora/recipe/converted.h"

#include <algorithm>
#include <regex>

#include "lora/recipe/keys.h"
#include "lora/recipe/recipe_text.h"

namespace lora {
namespace {

// A file's text must not leave its comment.
std::string one_comment(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return text;
}

std::string behind(const std::string& comment) { return comment.empty() ? "\n" : "  # " + one_comment(comment) + "\n"; }

// A line of a section; "train.0" is the first item of a list.
std::string nested_line(const std::string& path, const std::string& value, const std::string& comment) {
  const size_t dot = path.find('.');
  if (dot == std::string::npos) return "  " + path + ": " + value + behind(comment);
  const std::string begin = path.substr(dot + 1) == "0" ? "  " + path.substr(0, dot) + ":\n" : "";
  return begin + "    - " + value + behind(comment);
}

}  // namespace

void ConvertedRecipe::put(const std::string& path, std::string value, const std::string& key) {
  if (known_keys().contains(path)) return leave_out(key, value, "a section of a recipe, whose keys count one by one");
  std::string problem = value_problem(path, value);
  static const std::regex hint("did you mean '([^']+)'");
  if (std::smatch match; std::regex_search(problem, match, hint)) {
    value = match[1];
    problem = value_problem(path, value);
  }
  if (problem.empty()) {
    set(path, value);
  } else {
    const std::string answer = value_hint(path, value);  // " (…)", which says more than what is expected
    leave_out(key, value, answer.empty() ? problem : answer.substr(2, answer.size() - 3));
  }
}

void ConvertedRecipe::set(const std::string& path, const std::string& value, const std::string& comment) {
  values_[path] = value;
  comments_[path] = comment;
}

void ConvertedRecipe::set_once(const std::string& path, const std::string& value, const std::string& comment) {
  if (!has(path)) set(path, value, comment);
}

std::string ConvertedRecipe::value(const std::string& path) const {
  const auto found = values_.find(path);
  return found == values_.end() ? "" : found->second;
}

void ConvertedRecipe::erase(const std::string& path) {
  values_.erase(path);
  comments_.erase(path);
}

void ConvertedRecipe::erase_adapter() {
  std::erase_if(values_,
                [](const auto& one) { return one.first.starts_with("adapter.") && one.first != "adapter.method"; });
}

void ConvertedRecipe::leave_out(const std::string& key, const std::string& value, const std::string& why) {
  left_out_.push_back(key + ": " + value + (why.empty() ? "" : "  (" + why + ")"));
}

std::string ConvertedRecipe::text(const std::string& title) const {
  std::string out = "# " + one_comment(title) + "\n" +
                    "# Where the file is silent and lora-train has another default, the value says whose it is.\n";
  const auto list = [&](const char* heading, const std::vector<std::string>& notes) {
    if (!notes.empty()) out += std::string("#\n# ") + heading + "\n";
    for (const std::string& note : notes) out += "#   " + one_comment(note) + "\n";
  };
  list("To settle:", settle_);
  list("Left out:", left_out_);
  std::string section;
  for (const auto& [path, value, comment] : lines()) {
    const size_t dot = path.find('.');
    const std::string top = dot == std::string::npos ? "" : path.substr(0, dot);
    if (top != section && !top.empty()) out += top + ":\n";
    section = top;
    out += top.empty() ? path + ": " + value + behind(comment) : nested_line(path.substr(dot + 1), value, comment);
  }
  return out;
}

std::string ConvertedRecipe::flow(const std::string& path, const std::string& name, std::string& comment) const {
  if (has(path)) {
    const std::string& own = comments_.at(path);
    if (!own.empty()) comment += (comment.empty() ? "" : "; ") + (name.empty() ? "" : name + ": ") + own;
    return value(path);
  }
  const auto keys = known_keys().find(path);
  if (keys == known_keys().end()) return "";
  std::string parts;
  for (const std::string& key : keys->second) {
    const std::string part = flow(path + "." + key, name.empty() ? key : name + "." + key, comment);
    if (!part.empty()) parts += (parts.empty() ? "" : ", ") + key + ": " + part;
  }
  return parts.empty() ? "" : "{" + parts + "}";
}

std::vector<ConvertedRecipe::Line> ConvertedRecipe::lines() const {
  std::vector<Line> ordered;
  const auto take = [&](const std::string& path) {
    std::string comment;
    if (const std::string found = flow(path, "", comment); !found.empty()) ordered.push_back({path, found, comment});
  };
  for (const std::string& section : known_keys().at("")) {
    const auto keys = known_keys().find(section);
    if (keys == known_keys().end()) {
      take(section);
      continue;
    }
    for (const std::string& key : keys->second) {
      const std::string path = section + "." + key;
      take(path);
      for (size_t i = 0; has(path + "." + std::to_string(i)); ++i) take(path + "." + std::to_string(i));
    }
  }
  return ordered;
}

}  // namespace lora
