// Classification by the decoder of batches against the network's own forward pass.

#include "lora/inference/classify.h"

#include "models/network/batch_decoder.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;

namespace {

// Every byte is one of the golden models' 48 tokens.
class SmallTokenizer : public PieceTokenizer {
 public:
  SmallTokenizer() : PieceTokenizer({}, /*specials=*/false) {}
  std::vector<Token> encode(std::string_view text, std::span<const TextRange> special = {}) const override {
    std::vector<Token> tokens = PieceTokenizer::encode(text, special);
    for (Token& token : tokens) token.id %= 48;
    return tokens;
  }
};

std::vector<std::string> some_classified_texts() {
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) {
    std::string text;
    for (int k = 0; k <= i * 17 % 60; ++k) text += static_cast<char>(' ' + (i * 31 + k * k * 7) % 90);
    texts.push_back(text);
  }
  texts.push_back(std::string(700, 'x'));  // cut to max_length
  texts.push_back("y");
  return texts;
}

}  // namespace

TEST_CASE("labels and probabilities of texts side by side are those of the network") {
  const SmallTokenizer tokenizer;
  const std::vector<std::string> texts = some_classified_texts();
  for (const std::string name : {"classifier", "classifier_qwen2"}) {
    DYNAMIC_SECTION(name) {
      const auto model = load_pretrained(golden_model(name), "float32", {read_model_config(golden_model(name)).labels});
      REQUIRE_FALSE(BatchDecoder::problem(*model));
      const auto found = classify(*model, tokenizer, texts, 60),
                 expected = classify_plainly(*model, tokenizer, texts, 60);
      REQUIRE(found.size() == texts.size());
      bool differ = false;
      for (size_t i = 0; i < found.size(); ++i) {
        CAPTURE(i, texts[i]);
        CHECK(found[i].label == expected[i].label);
        CHECK(std::abs(found[i].probability - expected[i].probability) < 1e-5);
        differ |= std::abs(found[i].probability - found[0].probability) > 1e-3;
        CHECK(std::abs(classify(*model, tokenizer, {texts[i]}, 60)[0].probability - found[i].probability) < 1e-5);
      }
      CHECK(differ);
    }
  }
}
