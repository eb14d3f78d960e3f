#pragma once
// Characters as Python counts them, and its numbers as text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora::jinja {

// Bytes of the character at `at`; a byte that begins none stands for itself.
size_t character_length(std::string_view text, size_t at);

// The code point of the `length` bytes at `at`.
uint32_t code_point(std::string_view text, size_t at, size_t length);

// Where each character begins, and at last the text's end.
std::vector<size_t> character_offsets(std::string_view text);
size_t count_characters(std::string_view text);

// What str.strip() takes off and str.split() splits at.
bool is_space(uint32_t code_point);

// repr(float): the fewest digits that read back.
std::string python_float(double number);

void append_utf8(std::string& out, uint32_t code_point);

}  // namespace lora::jinja
