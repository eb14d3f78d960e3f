#pragma once
// Text inside an HTML page.

#include <string>
#include <string_view>

namespace lora {

// Any bytes as text of an element or a quoted attribute: markup characters as references, bytes that are no UTF-8 as
// U+FFFD, control characters as their pictures (U+2400 and on), line ends and tabs as they are. What comes out is valid
// in XML as well.
std::string html_escaped(std::string_view text);

// The first `characters` of it, and "…" where there are more.
std::string html_excerpt(std::string_view text, size_t characters);

}  // namespace lora
