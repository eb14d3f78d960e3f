// Masking: which tokens of an example are trained, by hand-built cases.

#include "lora/data/sample.h"

#include "lora/data/render.h"
#include "tests/catch.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Ids = std::vector<int32_t>;
using Flags = std::vector<uint8_t>;
constexpr int32_t kBos = PieceTokenizer::kBos, kEos = PieceTokenizer::kEos;

TEST_CASE("the prompt and BOS are masked, the completion and EOS are trained") {
  const auto [sample, cut] = encode_example(PieceTokenizer(), {"ab", "cd"}, 100);
  CHECK(sample.ids == Ids{kBos, 'a', 'b', 'c', 'd', kEos});
  CHECK(sample.supervised == Flags{0, 0, 0, 1, 1, 1});
  CHECK_FALSE(cut);
}

TEST_CASE("a token that begins in the prompt is masked though it reaches into the completion") {
  const PieceTokenizer tokenizer({"bc"});
  const auto [sample, cut] = encode_example(tokenizer, {"ab", "cd"}, 100);
  CHECK(sample.ids == Ids{kBos, 'a', 258, 'd', kEos});
  CHECK(sample.supervised == Flags{0, 0, 0, 1, 1});
}

TEST_CASE("without a prompt everything but BOS is trained") {
  CHECK(encode_example(PieceTokenizer(), {"", "ab"}, 100).sample.supervised == Flags{0, 1, 1, 1});
}

TEST_CASE("without a BOS the first token is no target: nothing stands before it") {
  const auto [sample, cut] = encode_example(PieceTokenizer({}, false), {"", "ab"}, 100);
  CHECK(sample.ids == Ids{'a', 'b'});
  CHECK(sample.supervised == Flags{0, 1});
}

TEST_CASE("there is one BOS, also where the text spells it out") {
  const PieceTokenizer tokenizer;
  CHECK(encode_example(tokenizer, {"<s>a", "b"}, 100).sample.ids == Ids{kBos, 'a', 'b', kEos});
  CHECK(encode_example(tokenizer, {"<s>a", "b"}, 100).sample.supervised == Flags{0, 0, 1, 1});
  CHECK(encode_example(tokenizer, {"", "<s>ab"}, 100).sample.supervised == Flags{0, 1, 1, 1});
  CHECK(encode_example(tokenizer, {"<", "s>b"}, 100).sample.supervised == Flags{0, 1, 1});
  CHECK(encode_prompt(tokenizer, "<s>a") == std::vector<int64_t>{kBos, 'a'});
}

TEST_CASE("a long sample is cut on the right and has no EOS") {
  const PieceTokenizer tokenizer;
  const auto whole = encode_example(tokenizer, {"ab", "cd"}, 6);
  CHECK_FALSE(whole.cut);
  CHECK(whole.sample.ids.back() == kEos);
  const auto without_eos = encode_example(tokenizer, {"ab", "cd"}, 5);
  CHECK(without_eos.cut);
  CHECK(without_eos.sample.ids == Ids{kBos, 'a', 'b', 'c', 'd'});
  CHECK(without_eos.sample.supervised == Flags{0, 0, 0, 1, 1});
  const auto masked = encode_example(tokenizer, {"ab", "cd"}, 2);
  CHECK(masked.cut);
  CHECK(masked.sample.supervised == Flags{0, 0});
}

TEST_CASE("a generation's prompt begins as its training sample did") {
  const PieceTokenizer tokenizer({"bc"});
  CHECK(encode_prompt(tokenizer, "ab") == std::vector<int64_t>{kBos, 'a', 'b'});
  CHECK(encode_prompt(tokenizer, "") == std::vector<int64_t>{kBos});
  CHECK(encode_prompt(PieceTokenizer({}, false), "").empty());
}

TEST_CASE("a SentencePiece token that joins the prompt's last space to the answer's first word is masked") {
  SentencePieceModel model;
  model.pieces = first_pieces();
  for (const char* text : {"▁a", "▁b", "▁", "a", "b", "c", ":"}) {
    model.pieces.push_back({text, -static_cast<float>(model.pieces.size())});
  }
  TemporaryDirectory directory;
  write_bytes(directory / "tokenizer.model", serialize(model));
  const auto tokenizer = load_tokenizer(directory.path());
  // "▁a" ":" "▁b" "c": the third token begins at the space.
  CHECK(encode_example(*tokenizer, {"a: ", "bc"}, 100).sample.supervised == Flags{0, 0, 0, 0, 1, 1});
  CHECK(encode_example(*tokenizer, {"a:", " bc"}, 100).sample.supervised == Flags{0, 0, 0, 1, 1, 1});
  // The bytes of one character are trained or masked together.
  CHECK(encode_example(*tokenizer, {"a", "é"}, 100).sample.supervised == Flags{0, 0, 1, 1, 1});
  CHECK(encode_example(*tokenizer, {"aé", "b"}, 100).sample.supervised == Flags{0, 0, 0, 0, 1, 1});
}

TEST_CASE("a preview marks what is masked") {
  const PieceTokenizer tokenizer;
  const auto sample = encode_example(tokenizer, {"a\nb", "c\n"}, 100).sample;
  CHECK(render_sample(sample, tokenizer, false) == "⟦<s>a↵\nb⟧c↵\n</s>");
  CHECK(render_sample(sample, tokenizer, true) == "\x1b[2m<s>a↵\nb\x1b[0mc↵\n</s>");
  CHECK(render_sample({}, tokenizer, false).empty());
}

TEST_CASE("a preview joins bytes into characters and lets nothing steer the terminal") {
  const PieceTokenizer tokenizer({}, false);
  const auto preview = [&](const std::string& text) {
    return render_sample(encode_example(tokenizer, {"x", text}, 100).sample, tokenizer, false);
  };
  CHECK(preview("é😀") == "⟦x⟧é😀");
  CHECK(preview("\x1b[31m\x07\r") == "⟦x⟧␛[31m␇␍");
  CHECK(preview("\xc2\x9b") == "⟦x⟧\uFFFD");
  CHECK(preview("a\xe2\x96") == "⟦x⟧a\uFFFD\uFFFD");
}

}  // namespace
}  // namespace lora::test
