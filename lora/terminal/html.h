#pragma once
// Escapes text for HTML pages.

#include <string>
#include <string_view>

namespace lora {

// Makes any bytes valid as text of an element or of a quoted attribute, in HTML and XML. Markup characters become
// references, invalid UTF-8 becomes U+FFFD, and control characters become their pictures (U+2400 and on). Line ends and
// tabs stay.
std::string html_escaped(std::string_view text);

// The first `characters` characters of the text, followed by "…" if it is longer.
std::string html_excerpt(std::string_view text, size_t characters);

}  // namespace lora
