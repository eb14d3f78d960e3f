#pragma once
// What a plain YAML scalar means, by YAML 1.2's core schema (so `yes` and `1_000` are text), and how text is written so
// that it stays text, also for a reader of YAML 1.1.

#include <string>

namespace lora {

bool is_integer(const std::string& plain);  // decimal digits after an optional sign
bool is_number(const std::string& plain);   // 1, 1.5, 2e-4, .inf, .nan
bool is_bool(const std::string& plain);     // true or false, in any of YAML's three spellings

// As it is where that is safe, in quotes otherwise.
std::string print_text(const std::string& text);
// The shortest form that reads back to the same bits, always with a point: "2.0e-04", which YAML 1.1 takes for a
// number.
std::string print_number(double number);

}  // namespace lora
