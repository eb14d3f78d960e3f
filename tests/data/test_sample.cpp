// Masking: which tokens of an example are trained, by hand-built cases.

#include "lora/data/sample.h"

#include <set>

#include "lora/data/render.h"
#include "tests/catch.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Ids = std::vector<int32_t>;
using Flags = std::vector<uint8_t>;
// Of an example that stays one sample.
struct One {
  Sample sample;
  bool cut;
};
One encode_one(const Tokenizer& tokenizer, const Example& example, int64_t max_length) {
  EncodedExample encoded = encode_example(tokenizer, {.max_length = max_length}, example);
  if (encoded.samples.empty()) return {{}, encoded.counts.untrained_by_cut > 0};
  return {encoded.samples.at(0), encoded.counts.cut > 0};
}
EncodedExample encode_long(Overlong overlong, const Example& example, int64_t max_length) {
  return encode_example(PieceTokenizer(), {.max_length = max_length, .overlong = overlong}, example);
}
constexpr int32_t kBos = PieceTokenizer::kBos, kEos = PieceTokenizer::kEos;

TEST_CASE("the prompt and BOS are masked, the completion and EOS are trained") {
  const auto [sample, cut] = encode_one(PieceTokenizer(), {"ab", "cd"}, 100);
  CHECK(sample.ids == Ids{kBos, 'a', 'b', 'c', 'd', kEos});
  CHECK(sample.supervised == Flags{0, 0, 0, 1, 1, 1});
  CHECK_FALSE(cut);
}

TEST_CASE("a token that begins in the prompt is masked though it reaches into the completion") {
  const PieceTokenizer tokenizer({"bc"});
  const auto [sample, cut] = encode_one(tokenizer, {"ab", "cd"}, 100);
  CHECK(sample.ids == Ids{kBos, 'a', 258, 'd', kEos});
  CHECK(sample.supervised == Flags{0, 0, 0, 1, 1});
}

TEST_CASE("without a prompt everything but BOS is trained") {
  CHECK(encode_one(PieceTokenizer(), {"", "ab"}, 100).sample.supervised == Flags{0, 1, 1, 1});
}

TEST_CASE("without a BOS the first token is not a target: nothing stands before it") {
  const auto [sample, cut] = encode_one(PieceTokenizer({}, false), {"", "ab"}, 100);
  CHECK(sample.ids == Ids{'a', 'b'});
  CHECK(sample.supervised == Flags{0, 1});
}

TEST_CASE("there is one BOS, also where the text spells it out") {
  const PieceTokenizer tokenizer;
  CHECK(encode_one(tokenizer, {"<s>a", "b"}, 100).sample.ids == Ids{kBos, 'a', 'b', kEos});
  CHECK(encode_one(tokenizer, {"<s>a", "b"}, 100).sample.supervised == Flags{0, 0, 1, 1});
  CHECK(encode_one(tokenizer, {"", "<s>ab"}, 100).sample.supervised == Flags{0, 1, 1, 1});
  CHECK(encode_one(tokenizer, {"<", "s>b"}, 100).sample.supervised == Flags{0, 1, 1});
  CHECK(encode_prompt(tokenizer, "<s>a") == std::vector<int64_t>{kBos, 'a'});
}

TEST_CASE("a long sample is cut on the right and has no EOS") {
  const PieceTokenizer tokenizer;
  const auto whole = encode_one(tokenizer, {"ab", "cd"}, 6);
  CHECK_FALSE(whole.cut);
  CHECK(whole.sample.ids.back() == kEos);
  const auto without_eos = encode_one(tokenizer, {"ab", "cd"}, 5);
  CHECK(without_eos.cut);
  CHECK(without_eos.sample.ids == Ids{kBos, 'a', 'b', 'c', 'd'});
  CHECK(without_eos.sample.supervised == Flags{0, 0, 0, 1, 1});
  const auto masked = encode_one(tokenizer, {"ab", "cd"}, 2);
  CHECK(masked.cut);
  CHECK(masked.sample.ids.empty());
}

TEST_CASE("a row that is too long is cut, dropped or split, and each is counted") {
  const Example example = {"ab", "cdef"};  // BOS a b c d e f EOS
  const auto cut = encode_long(Overlong::kTruncate, example, 6);
  REQUIRE(cut.samples.size() == 1);
  CHECK(cut.samples[0].ids == Ids{kBos, 'a', 'b', 'c', 'd', 'e'});
  CHECK(cut.counts == SourceCounts{.cut = 1, .answers = 1});

  const auto dropped = encode_long(Overlong::kDrop, example, 6);
  CHECK(dropped.samples.empty());
  CHECK(dropped.counts == SourceCounts{.too_long = 1});

  const auto split = encode_long(Overlong::kSplit, example, 4);
  REQUIRE(split.samples.size() == 3);
  CHECK(split.samples[0].ids == Ids{kBos, 'a', 'b', 'c'});
  CHECK(split.samples[0].supervised == Flags{0, 0, 0, 1});
  CHECK(split.samples[1].ids == Ids{kBos, 'd', 'e', 'f'});
  CHECK(split.samples[1].supervised == Flags{0, 1, 1, 1});
  CHECK(split.samples[2].ids == Ids{kBos, kEos});
  CHECK(split.counts == SourceCounts{.split = 1, .answers = 1, .ended = 1});

  const auto fits = encode_long(Overlong::kDrop, example, 8);
  CHECK(fits.samples.size() == 1);
  CHECK(fits.counts.ended == 1);
}

TEST_CASE("a part in which nothing is trained is left out, and a row of which none is left is masked") {
  const auto some = encode_long(Overlong::kSplit, {"abcdefgh", "i"}, 4);
  REQUIRE(some.samples.size() == 2);
  CHECK(some.samples[0].ids == Ids{kBos, 'g', 'h', 'i'});
  CHECK(some.samples[0].supervised == Flags{0, 0, 0, 1});
  CHECK(some.samples[1].ids == Ids{kBos, kEos});
  const auto none = encode_long(Overlong::kTruncate, {"abcdefgh", "i"}, 4);
  CHECK(none.counts == SourceCounts{.untrained = 1, .untrained_by_cut = 1});
}

TEST_CASE("train_on: all trains on the prompt too") {
  const auto encoded =
      encode_example(PieceTokenizer(), {.max_length = 9, .train_on = TrainOn::kAll}, Example{"ab", "cd"});
  CHECK(encoded.samples.at(0).supervised == Flags{0, 1, 1, 1, 1, 1});
}

TEST_CASE("a data set in which no answer's end is trained is refused, with the reason") {
  CHECK_THROWS_WITH(expect_trainable({.rows = 2, .cut = 2, .answers = 2, .samples = 2}, 5, false),
                    Catch::Matchers::Contains("none of 2 answers") && Catch::Matchers::Contains("cut at max_length 5"));
  CHECK_THROWS_WITH(expect_trainable({.rows = 2, .answers = 2, .samples = 2}, 5, false),
                    Catch::Matchers::Contains("expected an EOS"));
  expect_trainable({.rows = 2, .cut = 1, .answers = 2, .ended = 1, .samples = 2}, 5, false);
  expect_trainable({.rows = 2, .cut = 2, .samples = 2}, 5, false);  // texts need no end
  expect_trainable({}, 5, false);
}

TEST_CASE("the key of the options changes with each of them") {
  const EncodeOptions options{.max_length = 9};
  std::set<std::string> keys = {to_key(options)};
  for (const EncodeOptions& other :
       {EncodeOptions{.max_length = 8}, EncodeOptions{.max_length = 9, .train_on = TrainOn::kAll},
        EncodeOptions{.max_length = 9, .overlong = Overlong::kDrop}}) {
    CHECK(keys.insert(to_key(other)).second);
  }
  CHECK_FALSE(keys.insert(to_key(EncodeOptions{.max_length = 9})).second);
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
  CHECK(encode_one(*tokenizer, {"a: ", "bc"}, 100).sample.supervised == Flags{0, 0, 0, 0, 1, 1});
  CHECK(encode_one(*tokenizer, {"a:", " bc"}, 100).sample.supervised == Flags{0, 0, 0, 1, 1, 1});
  // The bytes of one character are trained or masked together.
  CHECK(encode_one(*tokenizer, {"a", "é"}, 100).sample.supervised == Flags{0, 0, 1, 1, 1});
  CHECK(encode_one(*tokenizer, {"aé", "b"}, 100).sample.supervised == Flags{0, 0, 0, 0, 1, 1});
}

TEST_CASE("a preview marks what is masked") {
  const PieceTokenizer tokenizer;
  const auto sample = encode_one(tokenizer, {"a\nb", "c\n"}, 100).sample;
  CHECK(render_sample(sample, tokenizer, false) == "⟦<s>a↵\nb⟧c↵\n</s>");
  CHECK(render_sample(sample, tokenizer, true) == "\x1b[2m<s>a↵\nb\x1b[0mc↵\n</s>");
  CHECK(render_sample({}, tokenizer, false).empty());
}

TEST_CASE("a preview joins bytes into characters and lets nothing steer the terminal") {
  const PieceTokenizer tokenizer({}, false);
  const auto preview = [&](const std::string& text) {
    return render_sample(encode_one(tokenizer, {"x", text}, 100).sample, tokenizer, false);
  };
  CHECK(preview("é😀") == "⟦x⟧é😀");
  CHECK(preview("\x1b[31m\x07\r") == "⟦x⟧␛[31m␇␍");
  CHECK(preview("\xc2\x9b") == "⟦x⟧\uFFFD");
  CHECK(preview("a\xe2\x96") == "⟦x⟧a\uFFFD\uFFFD");
}

}  // namespace
}  // namespace lora::test
