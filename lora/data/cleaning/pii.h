#pragma once
// Personal data and secrets, as far as patterns find them.

#include <array>
#include <cstdint>
#include <string_view>

namespace lora {

enum class Pii : uint8_t { kEmail, kPhone, kIban, kCreditCard, kIpAddress, kSecretKey, kCount };
using PiiCounts = std::array<int64_t, static_cast<size_t>(Pii::kCount)>;
const char* pii_name(Pii kind);

// How often each is in the text. An IBAN has its country's form and checksum (ISO 13616), a card number its network's
// length and checksum (Luhn), an IP address is IPv4 or IPv6 and none of the unspecified, loopback or local networks'; a
// telephone number begins with + or is written as in North America; a key is a PEM private key, a JSON web token, or
// has a known prefix (AWS, GitHub, GitLab, Google, Hugging Face, OpenAI, Slack, Stripe). What is found is no proof, and
// finding nothing none of absence.
PiiCounts count_pii(std::string_view text);

}  // namespace lora
