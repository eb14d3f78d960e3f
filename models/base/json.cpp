#include "models/base/json.h"

namespace lora {

std::optional<size_t> too_deep_at(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return {};
}

void refuse_nul(std::string_view text) {
  const size_t nul = text.find('\0');
  if (nul != text.npos)
    throw nlohmann::detail::parse_error::create(101, nul + 1, "found a NUL, a control character", nullptr);
}

}  // namespace lora
