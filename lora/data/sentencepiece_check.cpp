#include "lora/data/sentencepiece_check.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "lora/data/protobuf_fields.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Field numbers of sentencepiece_model.proto.
constexpr uint64_t kModelPieces = 1, kModelNormalizer = 3, kModelDenormalizer = 5;
constexpr uint64_t kPieceScore = 2;
constexpr uint64_t kNormalizerTable = 2;

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

bool finite_score(std::string_view piece) {
  ProtobufFields fields(piece);
  for (ProtobufField field; fields.next(field);) {
    if (field.number != kPieceScore || field.type != ProtobufField::kFixed32) continue;
    if (!std::isfinite(field.as_float())) return false;
  }
  return true;
}

// Layout: size of the trie in bytes (u32), the trie, and the replacement texts, each ended by a NUL. A unit of the trie
// links to a block of 256 units at the XOR of its position and its offset. A unit with the top bit set is a value.
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
  ProtobufFields fields(normalizer);
  for (ProtobufField field; fields.next(field);) {
    if (field.number == kNormalizerTable && field.type == ProtobufField::kBytes && !sound_table(field.bytes))
      return false;
  }
  return true;
}

}  // namespace

bool is_tiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  const size_t space = line.find(' ');
  if (space == 0 || space == line.npos || line.size() > 1000) return false;
  const auto in_base64 = [](unsigned char c) { return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '='; };
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0 || c == '\r'; };
  return std::ranges::all_of(line.substr(0, space), in_base64) && space + 1 < line.size() &&
         std::ranges::all_of(line.substr(space + 1), is_digit);
}

void check_sentencepiece_model(std::string_view bytes, const std::string& name) {
  if (is_tiktoken(bytes)) {
    throw ModelError(name +
                     ": is a tiktoken vocabulary, as Meta's own Llama 3 files have it; expected a SentencePiece model, "
                     "or the tokenizer.json that the same model's Hugging Face directory has");
  }
  ProtobufFields fields(bytes);
  int64_t pieces = 0;
  for (ProtobufField field; fields.next(field);) {
    if (field.type != ProtobufField::kBytes) continue;
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
