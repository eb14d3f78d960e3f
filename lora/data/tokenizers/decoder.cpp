#include "lora/data/tokenizers/decoder.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "lora/data/tokenizers/aligned_text.h"
#include "lora/data/tokenizers/pattern.h"
#include "lora/data/tokenizers/unicode.h"
#include "models/base/did_you_mean.h"
#include "models/base/utf8.h"

namespace lora {
namespace {

// Printable Latin-1 characters map to themselves, the other bytes to U+0100 and on.
std::array<int, 0x144> alphabet() {
  std::array<int, 0x144> bytes{};
  bytes.fill(-1);
  size_t other = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    bytes[printable ? static_cast<size_t>(byte) : other++] = byte;
  }
  return bytes;
}

void fuse(std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  tokens.assign(1, text);
}

void byte_fallback(std::vector<std::string>& tokens) {
  std::vector<std::string> decoded;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    // If the bytes are not valid UTF-8, each becomes one U+FFFD.
    bool whole = true;
    for (size_t at = 0; whole && at < bytes.size();) {
      const size_t length = utf8_length(bytes, at);
      whole = length > 0;
      at += length;
    }
    if (whole) {
      decoded.push_back(bytes);
    } else {
      decoded.insert(decoded.end(), bytes.size(), "\uFFFD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    const int byte = byte_of_name(token);
    if (byte >= 0) {
      bytes.push_back(static_cast<char>(byte));
    } else {
      flush();
      decoded.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(decoded);
}

void strip(std::string& token, const std::string& content, size_t start, size_t stop) {
  size_t begin = 0, end = token.size();
  for (; start > 0 && token.compare(begin, content.size(), content) == 0; --start) begin += content.size();
  for (; stop > 0 && end >= begin + content.size(); --stop) {
    if (token.compare(end - content.size(), content.size(), content) != 0) break;
    end -= content.size();
  }
  token = token.substr(begin, end - begin);
}

std::string replaced(const std::string& text, const Pattern& pattern, const std::string& content,
                     PatternScratch& scratch) {
  std::string out;
  size_t done = 0;
  for (auto match = pattern.next(text, 0, scratch); match; match = pattern.next(text, done, scratch)) {
    if (match->begin == match->end) break;
    out.append(text, done, match->begin - done).append(content);
    done = match->end;
  }
  return out.append(text, done);
}

Decoder metaspace(const JsonView& object) {
  const std::string replacement = object.string_or("replacement", "\u2581");
  if (replacement.empty()) object.at("replacement").fail("found an empty text, expected one character");
  const bool prefix =
      object.string_or("prepend_scheme", object.boolean_or("add_prefix_space", true) ? "always" : "never") != "never";
  return [replacement, prefix, pattern = Pattern::literal(replacement)](std::vector<std::string>& tokens) {
    PatternScratch scratch;
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = replaced(tokens[i], pattern, i == 0 && prefix ? "" : " ", scratch);
    }
  };
}

void add_steps(const JsonView& object, std::vector<Decoder>& steps) {
  const std::string& type = object.at("type").string();
  if (type == "Sequence") {
    for (const JsonView& step : object.at("decoders").elements()) {
      if (step.at("type").string() == "Sequence") step.fail("a Sequence inside a Sequence is not supported");
      add_steps(step, steps);
    }
  } else if (type == "Fuse") {
    steps.emplace_back(fuse);
  } else if (type == "ByteFallback") {
    steps.emplace_back(byte_fallback);
  } else if (type == "ByteLevel") {
    steps.push_back(byte_level_decoder());
  } else if (type == "Strip") {
    constexpr int64_t kMost = 1 << 20;
    const std::string& content = object.at("content").string();
    if (content.empty()) object.at("content").fail("found an empty text, expected one character");
    const auto start = static_cast<size_t>(object.at("start").integer(kMost));
    const auto stop = static_cast<size_t>(object.at("stop").integer(kMost));
    steps.push_back([content, start, stop](std::vector<std::string>& tokens) {
      for (std::string& token : tokens) strip(token, content, start, stop);
    });
  } else if (type == "Replace") {
    steps.push_back([pattern = Pattern::read(object.at("pattern")),
                     content = object.at("content").string()](std::vector<std::string>& tokens) {
      PatternScratch scratch;
      for (std::string& token : tokens) token = replaced(token, pattern, content, scratch);
    });
  } else if (type == "Metaspace") {
    steps.push_back(metaspace(object));
  } else if (type == "BPEDecoder") {
    const std::string suffix = object.string_or("suffix", "</w>");
    if (suffix.empty()) object.at("suffix").fail("found an empty text, expected the end of a word");
    steps.push_back([pattern = Pattern::literal(suffix)](std::vector<std::string>& tokens) {
      PatternScratch scratch;
      for (std::string& token : tokens) token = replaced(token, pattern, &token == &tokens.back() ? "" : " ", scratch);
    });
  } else {
    object.at("type").fail("decoder '" + type + "' is not supported" +
                           did_you_mean(type, {"Sequence", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace",
                                               "BPEDecoder", "ByteLevel"}));
  }
}

}  // namespace

std::vector<Decoder> read_decoder(const JsonView& object) {
  std::vector<Decoder> steps;
  add_steps(object, steps);
  return steps;
}

Decoder byte_level_decoder() {
  return [](std::vector<std::string>& tokens) {
    fuse(tokens);
    tokens[0] = repaired_utf8(tokens[0]);
  };
}

void append_in_byte_alphabet(char byte, std::string& text) {
  static const auto kCharacters = [] {
    std::array<char32_t, 256> characters{};
    const auto bytes = alphabet();
    for (size_t code = 0; code < bytes.size(); ++code) {
      if (bytes[code] >= 0) characters[static_cast<size_t>(bytes[code])] = static_cast<char32_t>(code);
    }
    return characters;
  }();
  append_character(text, kCharacters[static_cast<unsigned char>(byte)]);
}

bool from_byte_alphabet(std::string_view text, std::string& bytes) {
  static const auto kBytes = alphabet();
  bytes.clear();
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (character.code >= kBytes.size() || kBytes[character.code] < 0) return false;
    bytes.push_back(static_cast<char>(kBytes[character.code]));
    at += character.length;
  }
  return true;
}

int byte_of_name(std::string_view token) {
  int byte = -1;
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 ? byte : -1;
}

std::string repaired_utf8(std::string_view bytes) {
  AlignedText text(bytes);
  repair_utf8(text);
  return std::string(text.text());
}

}  // namespace lora
