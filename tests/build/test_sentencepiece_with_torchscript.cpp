// A shared sentencepiece in the same process makes the first TorchScript forward hang (see FindSentencePiece.cmake).
// This program links both, calls both, and finishes.

#include <sentencepiece_processor.h>
#include <torch/script.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/catch.h"

namespace {

// The protobuf bytes of one entry of sentencepiece's ModelProto.pieces: text, score and type (1 normal, 2 unknown,
// 3 control). Every length here is below 128, so that one byte holds it.
std::string piece(const std::string& text, float score, char type) {
  std::string fields = "\x0a" + std::string(1, static_cast<char>(text.size())) + text + "\x15";
  char bits[sizeof score];
  std::memcpy(bits, &score, sizeof score);
  fields += std::string(bits, sizeof bits) + "\x18" + type;
  return "\x0a" + std::string(1, static_cast<char>(fields.size())) + fields;
}

}  // namespace

TEST_CASE("sentencepiece and a TorchScript module work in one program") {
  const std::string model = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("\u2581ab", -1, 1) +
                            piece("a", -2, 1) + piece("b", -2, 1) + piece("\u2581", -3, 1);
  sentencepiece::SentencePieceProcessor tokenizer;
  REQUIRE(tokenizer.LoadFromSerializedProto(model).ok());
  CHECK(tokenizer.EncodeAsIds("ab a") == std::vector<int>{3, 6, 4});

  torch::jit::Module module("Doubled");
  module.register_parameter("weight", torch::full({2, 2}, 2.0), false);
  module.define("def forward(self, x: Tensor) -> Tensor:\n    return x @ self.weight\n");
  const auto output = module.forward({torch::ones({1, 2})}).toTensor();
  CHECK(torch::equal(output, torch::full({1, 2}, 4.0)));
}
