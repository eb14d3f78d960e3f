#include "lora/inference/json_characters.h"

#include <string_view>

namespace lora {
namespace {

using At = JsonCharacter;

bool is_within(unsigned char byte, int first, int last) { return byte >= first && byte <= last; }

}  // namespace

JsonCharacter next_in_string(JsonCharacter at, unsigned char byte) {
  const auto tail = [&](int first, int last, At next) { return is_within(byte, first, last) ? next : At::kWrong; };
  const bool is_hex = is_within(byte, '0', '9') || is_within(byte | 0x20, 'a', 'f');
  switch (at) {
    case At::kNone:
      if (byte == '"') return At::kClosed;
      if (byte == '\\') return At::kEscape;
      if (byte < 0x20) return At::kWrong;
      if (byte < 0x80) return At::kNone;
      if (byte == 0xE0) return At::kTailE0;
      if (byte == 0xED) return At::kTailED;
      if (byte == 0xF0) return At::kTailF0;
      if (byte == 0xF4) return At::kTailF4;
      if (is_within(byte, 0xC2, 0xDF)) return At::kTail1;
      if (is_within(byte, 0xE1, 0xEF)) return At::kTail2;
      return tail(0xF1, 0xF3, At::kTail3);
    case At::kEscape:
      if (byte == 'u') return At::kHex4;
      return std::string_view("\"\\/bfnrt").find(static_cast<char>(byte)) != std::string_view::npos ? At::kNone
                                                                                                    : At::kWrong;
    case At::kHex4:
      if (!is_hex) return At::kWrong;
      return (byte | 0x20) == 'd' ? At::kHexAfterD : At::kHex3;
    case At::kHexAfterD:
      return is_within(byte, '0', '7') ? At::kHex2 : At::kWrong;
    case At::kHex3:
      return is_hex ? At::kHex2 : At::kWrong;
    case At::kHex2:
      return is_hex ? At::kHex1 : At::kWrong;
    case At::kHex1:
      return is_hex ? At::kNone : At::kWrong;
    case At::kTail1:
      return tail(0x80, 0xBF, At::kNone);
    case At::kTail2:
      return tail(0x80, 0xBF, At::kTail1);
    case At::kTail3:
      return tail(0x80, 0xBF, At::kTail2);
    case At::kTailE0:
      return tail(0xA0, 0xBF, At::kTail1);
    case At::kTailED:
      return tail(0x80, 0x9F, At::kTail1);
    case At::kTailF0:
      return tail(0x90, 0xBF, At::kTail2);
    case At::kTailF4:
      return tail(0x80, 0x8F, At::kTail2);
    default:
      return At::kWrong;
  }
}

}  // namespace lora
