#pragma once
// Iterates over the fields of a protobuf message, as far as SentencePiece's models need it
// (https://protobuf.dev/programming-guides/encoding).

#include <cstdint>
#include <optional>
#include <string_view>

namespace lora {

struct ProtobufField {
  enum Type : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  uint64_t number = 0;
  uint64_t type = 0;
  uint64_t value = 0;           // for kVarint
  std::string_view bytes = {};  // for the other types

  float as_float() const;  // for kFixed32
};

// Reads the fields of one message in order.
class ProtobufFields {
 public:
  explicit ProtobufFields(std::string_view message) : left_(message) {}

  // Returns false at the end and for a malformed field; well_formed() tells them apart.
  bool next(ProtobufField& field);
  bool well_formed() const { return well_formed_; }

 private:
  std::optional<uint64_t> varint();

  std::string_view left_;
  bool well_formed_ = true;
};

}  // namespace lora
