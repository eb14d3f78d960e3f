#include "lora/data/protobuf_fields.h"

#include <cstring>

namespace lora {

float ProtobufField::as_float() const {
  float read = 0;
  std::memcpy(&read, bytes.data(), sizeof(read));
  return read;
}

bool ProtobufFields::next(ProtobufField& field) {
  if (left_.empty()) return false;
  well_formed_ = false;
  const auto key = varint();
  if (!key) return false;
  field = {.number = *key >> 3, .type = *key & 7};
  if (field.type == ProtobufField::kVarint) {
    const auto value = varint();
    field.value = value.value_or(0);
    return well_formed_ = value.has_value();
  }
  const auto size = field.type == ProtobufField::kFixed64   ? std::optional<uint64_t>(8)
                    : field.type == ProtobufField::kFixed32 ? std::optional<uint64_t>(4)
                    : field.type == ProtobufField::kBytes   ? varint()
                                                            : std::nullopt;
  if (!size || *size > left_.size()) return false;
  field.bytes = left_.substr(0, *size);
  left_.remove_prefix(*size);
  return well_formed_ = true;
}

std::optional<uint64_t> ProtobufFields::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !left_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(left_.front());
    left_.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

}  // namespace lora
