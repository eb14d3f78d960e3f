#pragma once
// Counts characters, and writes numbers as text, as Python does.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora::jinja {

// The length in bytes of the UTF-8 character at `at`; 1 for a byte that does not begin a character.
size_t character_length(std::string_view text, size_t at);

// The code point of the character of `length` bytes at `at`.
uint32_t code_point(std::string_view text, size_t at, size_t length);

// The byte offset of each character, and the size of the text as the last element.
std::vector<size_t> character_offsets(std::string_view text);
size_t count_characters(std::string_view text);

// Where `part` begins in `bytes`, first at or behind `from`; npos: nowhere. Takes time in proportion to the bytes, whatever
// is in them: std::string's own takes their product.
size_t find_bytes(std::string_view bytes, std::string_view part, size_t from = 0);

// White space as str.strip() and str.split() define it.
bool is_space(uint32_t code_point);

// repr(float): the shortest text that reads back as the same number.
std::string python_float(double number);

void append_utf8(std::string& out, uint32_t code_point);

}  // namespace lora::jinja
