#pragma once
// The SentencePiece vocabulary in the metadata of a GGUF file (github.com/ggml-org/ggml, docs/gguf.md).

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/data/sentencepiece_writer.h"

namespace lora::test {

class GgufReader {
 public:
  explicit GgufReader(const std::filesystem::path& path) : file_(path, std::ios::binary) {
    if (number<uint32_t>() != 0x46554747) throw std::runtime_error(path.string() + " is no GGUF file");
    number<uint32_t>();  // version
    number<uint64_t>();  // tensors
    entries_ = number<uint64_t>();
  }

  // Tokens with scores and types; their values are the same as ModelProto's.
  std::vector<Piece> pieces() {
    std::vector<Piece> pieces;
    const auto element = [&](uint64_t i) -> Piece& {
      if (pieces.size() <= i) pieces.resize(i + 1);
      return pieces[i];
    };
    for (uint64_t entry = 0; entry < entries_; ++entry) {
      const std::string key = text();
      const auto type = number<uint32_t>();
      if (key == "tokenizer.ggml.tokens") {
        array(type, kString, [&](uint64_t i) { element(i).text = text(); });
      } else if (key == "tokenizer.ggml.scores") {
        array(type, kFloat, [&](uint64_t i) { element(i).score = number<float>(); });
      } else if (key == "tokenizer.ggml.token_type") {
        array(type, kInt32, [&](uint64_t i) { element(i).type = static_cast<PieceType>(number<int32_t>()); });
      } else {
        skip(type);
      }
    }
    return pieces;
  }

 private:
  static constexpr uint32_t kInt32 = 5, kFloat = 6, kString = 8, kArray = 9;

  template <typename T>
  T number() {
    static_assert(std::is_trivially_copyable_v<T>);
    char bytes[sizeof(T)];
    if (!file_.read(bytes, sizeof(T))) throw std::runtime_error("GGUF file ends early");
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
  }

  std::string text() {
    std::string bytes(number<uint64_t>(), '\0');
    file_.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes;
  }

  template <typename Read>
  void array(uint32_t type, uint32_t wanted, Read read) {
    if (type != kArray || number<uint32_t>() != wanted) throw std::runtime_error("GGUF array of another type");
    const auto count = number<uint64_t>();
    for (uint64_t i = 0; i < count; ++i) read(i);
  }

  void skip(uint32_t type) {
    constexpr std::streamsize kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kString) {
      text();
    } else if (type == kArray) {
      const auto element_type = number<uint32_t>();
      const auto count = number<uint64_t>();
      for (uint64_t i = 0; i < count; ++i) skip(element_type);
    } else {
      file_.ignore(kSizes[type]);
    }
  }

  std::ifstream file_;
  uint64_t entries_ = 0;
};

}  // namespace lora::test
