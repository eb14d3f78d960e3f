#pragma once
// Whether a page is well formed.

#include <string>
#include <vector>

namespace lora::test {

// Whether every element that opens closes in its place, and nothing but known references follows an ampersand.
inline bool well_formed(const std::string& page) {
  std::vector<std::string> open;
  for (size_t at = 0; at < page.size(); ++at) {
    if (page[at] == '&') {
      const std::string name = page.substr(at, page.find(';', at) - at + 1);
      if (name != "&amp;" && name != "&lt;" && name != "&gt;" && name != "&quot;" && name != "&#39;") return false;
    }
    if (page[at] != '<' || page.compare(at, 2, "<!") == 0) continue;
    const size_t end = page.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = page.substr(at + 1, end - at - 1);
    const bool closing = tag.starts_with("/");
    const std::string name = tag.substr(closing, tag.find_first_of(" /", closing ? 1 : 0) - closing);
    if (closing) {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
    } else if (!tag.ends_with("/")) {
      open.push_back(name);
    }
    at = end;
  }
  return open.empty();
}

}  // namespace lora::test
