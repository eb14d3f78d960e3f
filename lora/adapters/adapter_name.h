#pragma once
// Names of adapters, where there are several: each is a folder of a run and a word on a command line.

#include <algorithm>
#include <cctype>
#include <string>

namespace lora {

inline constexpr const char* kNoAdapter = "none";  // stands for the bare base on a command line

// What a name has to be, where `name` is not it; empty where it is.
inline std::string adapter_name_problem(const std::string& name) {
  const bool fits = !name.empty() && name.size() <= 100 && std::isalnum(static_cast<unsigned char>(name[0])) != 0 &&
                    std::ranges::all_of(name, [](unsigned char c) {
                      return c < 0x80 && (std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.');
                    });
  if (!fits) return "expected at most 100 letters, digits, '_', '-' and '.', beginning with a letter or a digit";
  if (name == kNoAdapter) return "'none' stands for the base without an adapter";
  return "";
}

}  // namespace lora
