#pragma once
// Finds personal data and secrets by patterns.

#include <array>
#include <cstdint>
#include <string_view>

namespace lora {

enum class Pii : uint8_t { kEmail, kPhone, kIban, kCreditCard, kIpAddress, kSecretKey, kCount };
using PiiCounts = std::array<int64_t, static_cast<size_t>(Pii::kCount)>;
const char* pii_name(Pii kind);

// Counts each kind in the text. An IBAN needs its country's form and checksum (ISO 13616). A card number needs its
// network's length and checksum (Luhn). An IP address is IPv4 or IPv6, but not unspecified, loopback or local. A
// telephone number begins with + or has North American form. A key is a PEM private key, a JSON web token, or has a
// known prefix (AWS, GitHub, GitLab, Google, Hugging Face, OpenAI, Slack, Stripe). A match is not proof, and no match
// is not proof of absence.
PiiCounts count_pii(std::string_view text);

}  // namespace lora
