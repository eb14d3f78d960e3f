// Converts a tokenizer.model to GGUF. Field numbers are those of sentencepiece_model.proto.

#include "lora/data/protobuf_fields.h"
#include "lora/export/gguf_tokens.h"
#include "models/base/error.h"

namespace lora {
namespace {

constexpr uint64_t kPiece = 1, kTrainer = 2, kNormalizer = 3;
constexpr uint64_t kPieceText = 1, kPieceScore = 2, kPieceType = 3;
constexpr uint64_t kTrainerModelType = 3;
constexpr uint64_t kNormalizerTable = 2, kNormalizerPrefix = 3, kNormalizerSpaces = 4;
constexpr uint64_t kBpe = 2;

void add_piece(std::string_view message, GgufTokens& tokens) {
  std::string text;
  float score = 0;
  auto type = GgufTokenType::kNormal;
  ProtobufFields fields(message);
  for (ProtobufField field; fields.next(field);) {
    if (field.number == kPieceText) text = field.bytes;
    if (field.number == kPieceScore && field.type == ProtobufField::kFixed32) score = field.as_float();
    if (field.number == kPieceType) type = static_cast<GgufTokenType>(field.value);
  }
  tokens.texts.push_back(text);
  tokens.scores.push_back(score);
  tokens.types.push_back(type);
}

}  // namespace

GgufTokens sentencepiece_tokens(const std::string& bytes, const std::string& name) {
  const auto refuse = [&](const std::string& what) { throw ExportError("gguf: " + name + ": " + what); };
  GgufTokens tokens{.model = "llama", .pre = "default", .add_space_prefix = true};
  // The proto's defaults for omitted fields: unigram, and merging of spaces.
  bool bpe = false, normalizes = false, merges_spaces = true, has_bytes = false;
  ProtobufFields fields(bytes);
  for (ProtobufField field; fields.next(field);) {
    if (field.number == kPiece) add_piece(field.bytes, tokens);
    ProtobufFields inner(field.bytes);
    for (ProtobufField item; inner.next(item);) {
      if (field.number == kTrainer && item.number == kTrainerModelType) bpe = item.value == kBpe;
      if (field.number != kNormalizer) continue;
      if (item.number == kNormalizerTable) normalizes = !item.bytes.empty();
      if (item.number == kNormalizerPrefix) tokens.add_space_prefix = item.value != 0;
      if (item.number == kNormalizerSpaces) merges_spaces = item.value != 0;
    }
  }
  for (const GgufTokenType type : tokens.types) has_bytes |= type == GgufTokenType::kByte;
  if (!bpe) refuse("a unigram model, and llama.cpp reads SentencePiece's BPE; expected huggingface or torchscript");
  if (normalizes) refuse("normalizes text before it splits it, which llama.cpp does not; expected huggingface");
  if (merges_spaces) refuse("takes several spaces for one, which llama.cpp does not; expected huggingface");
  if (!has_bytes) refuse("has no byte pieces, without which llama.cpp cannot read every text; expected huggingface");
  return tokens;
}

}  // namespace lora
