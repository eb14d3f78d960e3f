#pragma once
// Writes SentencePiece models by hand, so that a test can have any vocabulary as an ordinary tokenizer.model.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace lora::test {

// Values of ModelProto.SentencePiece.Type and TrainerSpec.ModelType in sentencepiece_model.proto.
enum class PieceType : uint64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
enum class ModelType : uint64_t { kUnigram = 1, kBpe = 2 };

struct Piece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

struct SentencePieceModel {
  std::vector<Piece> pieces;
  ModelType type = ModelType::kBpe;
  bool byte_fallback = true;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = false;
  std::string normalization_table;  // precompiled_charsmap; empty: text stays as it is
};

inline void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

inline void put_number(std::string& out, uint64_t field, uint64_t value) {
  put_varint(out, field << 3);
  put_varint(out, value);
}

inline void put_bytes(std::string& out, uint64_t field, std::string_view bytes) {
  put_varint(out, field << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

inline void put_float(std::string& out, uint64_t field, float value) {
  put_varint(out, field << 3 | 5);
  char bytes[sizeof(value)];
  std::memcpy(bytes, &value, sizeof(value));
  out.append(bytes, sizeof(value));
}

// The serialized ModelProto.
inline std::string serialize(const SentencePieceModel& model) {
  std::string out;
  for (const Piece& piece : model.pieces) {
    std::string message;
    put_bytes(message, 1, piece.text);
    put_float(message, 2, piece.score);
    put_number(message, 3, static_cast<uint64_t>(piece.type));
    put_bytes(out, 1, message);
  }
  std::string trainer;
  put_number(trainer, 3, static_cast<uint64_t>(model.type));
  put_number(trainer, 35, model.byte_fallback);
  put_bytes(out, 2, trainer);
  std::string normalizer;
  put_bytes(normalizer, 1, "identity");
  put_bytes(normalizer, 2, model.normalization_table);
  put_number(normalizer, 3, model.add_dummy_prefix);
  put_number(normalizer, 4, model.remove_extra_whitespaces);
  put_bytes(out, 3, normalizer);
  return out;
}

// <unk>, <s>, </s> and, where asked for, the 256 byte pieces: what Llama's vocabulary starts with.
inline std::vector<Piece> first_pieces(bool bytes = true) {
  std::vector<Piece> pieces = {
      {"<unk>", 0, PieceType::kUnknown}, {"<s>", 0, PieceType::kControl}, {"</s>", 0, PieceType::kControl}};
  const char* digits = "0123456789ABCDEF";
  for (int byte = 0; bytes && byte < 256; ++byte) {
    pieces.push_back({std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", 0, PieceType::kByte});
  }
  return pieces;
}

// "ab" is most probable as "▁a" and "b".
inline SentencePieceModel unigram_model() {
  SentencePieceModel model;
  model.type = ModelType::kUnigram;
  model.byte_fallback = false;
  model.pieces = first_pieces(false);
  for (const Piece& piece : {Piece{"▁ab", -3}, Piece{"▁a", -1}, Piece{"b", -1}, Piece{"▁", -5}, Piece{"c", -5}}) {
    model.pieces.push_back(piece);
  }
  return model;
}

}  // namespace lora::test
