#include "lora/data/sentencepiece_check.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>

#include "models/error.h"

namespace lora {
namespace {

// Field numbers of sentencepiece_model.proto.
constexpr uint64_t kModelPieces = 1, kModelNormalizer = 3, kModelDenormalizer = 5;
constexpr uint64_t kPieceScore = 2;
constexpr uint64_t kNormalizerTable = 2;

enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint64_t number = 0;
  uint64_t type = 0;
  std::string_view bytes;  // of kBytes and kFixed32
};

// Reads the fields of one message in order.
class Fields {
 public:
  explicit Fields(std::string_view message) : left_(message) {}

  // False at the end, and where the bytes are no field; well_formed() tells which.
  bool next(Field& field) {
    if (left_.empty()) return false;
    well_formed_ = false;
    const auto key = varint();
    if (!key) return false;
    field.number = *key >> 3;
    field.type = *key & 7;
    if (field.type == kVarint) return well_formed_ = varint().has_value();
    const auto size = field.type == kFixed64   ? std::optional<uint64_t>(8)
                      : field.type == kFixed32 ? std::optional<uint64_t>(4)
                      : field.type == kBytes   ? varint()
                                               : std::nullopt;
    if (!size || *size > left_.size()) return false;
    field.bytes = left_.substr(0, *size);
    left_.remove_prefix(*size);
    return well_formed_ = true;
  }

  bool well_formed() const { return well_formed_; }

 private:
  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  std::string_view left_;
  bool well_formed_ = true;
};

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

bool finite_score(std::string_view piece) {
  Fields fields(piece);
  for (Field field; fields.next(field);) {
    if (field.number != kPieceScore || field.type != kFixed32) continue;
    float score = 0;
    std::memcpy(&score, field.bytes.data(), sizeof(score));
    if (!std::isfinite(score)) return false;
  }
  return true;
}

// The table is: size of the trie in bytes (u32), the trie, and the replacement texts, each ended by a NUL. A unit of
// the trie links to a block of 256 by the XOR of its place and its offset; one with the top bit set is a value, not a
// link.
bool sound_table(std::string_view table) {
  if (table.empty()) return true;
  constexpr size_t kUnit = sizeof(uint32_t), kBlock = 256;
  if (table.size() < kUnit) return false;
  const size_t trie_size = read_u32(table, 0);
  if (trie_size == 0 || trie_size % (kBlock * kUnit) != 0 || table.size() <= kUnit + trie_size) return false;
  const std::string_view trie = table.substr(kUnit, trie_size);
  const size_t units = trie_size / kUnit;
  for (size_t i = 0; i < units; ++i) {
    const uint32_t unit = read_u32(trie, i * kUnit);
    if (i > 0 && unit >> 31) continue;
    const size_t offset = static_cast<size_t>(unit >> 10) << ((unit & (1u << 9)) >> 6);
    if ((i ^ offset) >= units) return false;
  }
  return true;
}

bool sound_normalizer(std::string_view normalizer) {
  Fields fields(normalizer);
  for (Field field; fields.next(field);) {
    if (field.number == kNormalizerTable && field.type == kBytes && !sound_table(field.bytes)) return false;
  }
  return true;
}

}  // namespace

void check_sentencepiece_model(std::string_view bytes, const std::string& name) {
  Fields fields(bytes);
  int64_t pieces = 0;
  for (Field field; fields.next(field);) {
    if (field.type != kBytes) continue;
    if (field.number == kModelPieces && !finite_score(field.bytes)) {
      throw ModelError(name + ": the score of piece " + std::to_string(pieces) + " is not a finite number");
    }
    if ((field.number == kModelNormalizer || field.number == kModelDenormalizer) && !sound_normalizer(field.bytes)) {
      throw ModelError(name + ": its normalization table is damaged");
    }
    pieces += field.number == kModelPieces;
  }
  if (!fields.well_formed() || pieces == 0) {
    throw ModelError(name + ": not a whole SentencePiece model (found " + std::to_string(bytes.size()) +
                     " bytes with " + std::to_string(pieces) + " readable pieces); fetch the file again");
  }
}

}  // namespace lora
