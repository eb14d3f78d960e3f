#pragma once
// The fields of a protobuf message one after another, as far as SentencePiece's models need them
// (https://protobuf.dev/programming-guides/encoding).

#include <cstdint>
#include <optional>
#include <string_view>

namespace lora {

struct ProtobufField {
  enum Type : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  uint64_t number = 0;
  uint64_t type = 0;
  uint64_t value = 0;           // of kVarint
  std::string_view bytes = {};  // of the others

  float as_float() const;  // of kFixed32
};

// Reads the fields of one message in order.
class ProtobufFields {
 public:
  explicit ProtobufFields(std::string_view message) : left_(message) {}

  // False at the end, and where the bytes are no field; well_formed() tells which.
  bool next(ProtobufField& field);
  bool well_formed() const { return well_formed_; }

 private:
  std::optional<uint64_t> varint();

  std::string_view left_;
  bool well_formed_ = true;
};

}  // namespace lora
