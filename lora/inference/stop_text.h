#pragma once
// Texts that end an answer where they appear in it. They are no part of the answer.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// Where in `text` the first stop text begins; npos where there is none.
size_t stop_place(std::string_view text, const std::vector<std::string>& stops);

// How many of the first bytes of a text that grows are certain: none of them can become a part of a stop text.
size_t settled_bytes(std::string_view text, const std::vector<std::string>& stops);

}  // namespace lora
