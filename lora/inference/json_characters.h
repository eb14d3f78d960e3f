#pragma once
// The characters of a JSON string, byte by byte: UTF-8, and escapes. Those of surrogates are wrong.

#include <cstdint>

namespace lora {

// Within a string, its quotes apart.
enum class JsonCharacter : uint8_t {
  kNone,    // between two characters
  kEscape,  // behind a backslash
  kHex4,
  kHex3,
  kHex2,
  kHex1,       // so many digits are missing
  kHexAfterD,  // the first of four was D: no surrogate
  kTail1,
  kTail2,
  kTail3,  // so many bytes are missing
  kTailE0,
  kTailED,
  kTailF0,
  kTailF4,  // the second byte is not just any (Unicode 15, table 3-7)
  kClosed,  // by the closing quote
  kWrong
};
JsonCharacter next_in_string(JsonCharacter at, unsigned char byte);

}  // namespace lora
