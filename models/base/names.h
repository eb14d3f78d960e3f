#pragma once
// The names that a key of a recipe or an option of a program accepts. A registry makes its list from its rows. An enum
// has its list beside it, in a function `const Names& names_of(E)` whose names are in the order of the values.

#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lora {

struct Names {
  std::vector<std::string> known;  // a name that ends in _N stands for any number of up to three digits
  std::vector<std::pair<std::string, std::string>> elsewhere = {};  // another tool's name -> ours, for hints
};

bool accepts(const Names& names, const std::string& name);

// " (did you mean 'chat'?)" for a name that is not known: it is another tool's name for one of ours, or close to one of
// ours. Empty where nothing is near.
std::string name_hint(const Names& names, const std::string& name);

// "auto, chat, text"
std::string joined(const std::vector<std::string>& names);

// The names of a registry's rows, after those of `names`. A row has members `name` and `elsewhere`, a list of other
// tools' names for it.
template <typename Rows>
Names with_rows(Names names, const Rows& rows) {
  for (const auto& row : rows) {
    names.known.push_back(row.name);
    for (const std::string& other : row.elsewhere) names.elsewhere.emplace_back(other, row.name);
  }
  return names;
}

// The row of that name; null where there is none.
template <typename Rows>
const typename Rows::value_type* find_row(const Rows& rows, const std::string& name) {
  for (const auto& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

// The name of an enum's value.
template <typename E>
requires std::is_enum_v<E>
const std::string& name_of(E value) { return names_of(value).known.at(static_cast<size_t>(value)); }

// The enum's value of that name.
template <typename E>
requires std::is_enum_v<E> std::optional<E> value_of(const std::string& name) {
  const std::vector<std::string>& known = names_of(E{}).known;
  for (size_t i = 0; i < known.size(); ++i) {
    if (known[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

}  // namespace lora
