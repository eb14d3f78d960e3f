#pragma once
// Paths with *, ? and […] (glob(7)), as data sources have them.

#include <string>
#include <vector>

namespace lora {

// Whether the text has a character of patterns. A file may have such a name, too.
bool is_path_pattern(const std::string& path);

// What is there and matches, in byte order. Empty: nothing does. A pattern of more than 4096 bytes or 256 '/' matches
// nothing: the C library goes into itself at each '/', and would end without a stack.
std::vector<std::string> matching_paths(const std::string& pattern);

}  // namespace lora
