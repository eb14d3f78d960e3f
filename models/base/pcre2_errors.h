#pragma once
// What PCRE2's functions return, for its two users: lora/adapters/regex.cpp and lora/data/tokenizers/pattern.cpp.

#include <new>
#include <string>

namespace lora {

// The library's text of an error code. Throws std::bad_alloc for the codes of memory that was not there, which says
// nothing of the pattern.
std::string pcre2_error_text(int code);

// What a function of PCRE2 made. Throws std::bad_alloc for none: but for a pattern, only memory can be missing.
template <typename T>
T* pcre2_made(T* object) {
  if (!object) throw std::bad_alloc();
  return object;
}

}  // namespace lora
