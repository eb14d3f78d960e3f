// Samples of preference pairs and of marked answers: what is shared, what is a target, what is cut.

#include "lora/data/load.h"
#include "lora/data/sample.h"
#include "lora/data/token_file.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/data_files.h"
#include "tests/data/piece_tokenizer.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

using PairIds = std::vector<int32_t>;
using PairFlags = std::vector<uint8_t>;
constexpr int32_t kPieceBos = PieceTokenizer::kBos, kPieceEos = PieceTokenizer::kEos;

LoadedDataset load_pairs(const std::string& rows, Trains trains, int64_t max_length = 100,
                         Overlong overlong = Overlong::kTruncate, const CacheOptions& cache = {}) {
  const DataFiles files;
  const PieceTokenizer tokenizer;
  LoadOptions options{{.max_length = max_length}};
  options.data.trains = trains;
  options.data.overlong = overlong;
  options.cache = cache;
  return load_dataset({files.add("rows.jsonl", rows, "auto")}, tokenizer, options);
}

PairIds pair_ids(const SampleView& sample) { return {sample.ids.begin(), sample.ids.end()}; }
PairFlags pair_flags(const SampleView& sample) { return {sample.supervised.begin(), sample.supervised.end()}; }

const std::string kPair = R"({"prompt": "ab", "chosen": "cd", "rejected": "ce"})";

}  // namespace

TEST_CASE("a pair is one sample: the prompt once, then both answers, each with its end") {
  const LoadedDataset data = load_pairs(kPair, Trains::kPair);
  REQUIRE(data.size() == 1);
  // The answers begin alike, but what is trained belongs to both and is not shared.
  CHECK(pair_ids(data[0]) == PairIds{kPieceBos, 'a', 'b', 'c', 'd', kPieceEos, 'c', 'e', kPieceEos});
  CHECK(pair_flags(data[0]) == PairFlags{0, 0, 0, 1, 1, 1, 1, 1, 1});
  CHECK(data[0].fork.prompt == 3);
  CHECK(data[0].fork.second == 6);
  CHECK(data.has_pairs());
}

TEST_CASE("without a prompt column the prompt is what both texts begin with, without a space at its end") {
  const LoadedDataset data = load_pairs(R"({"chosen": "Q: hi A: yes", "rejected": "Q: hi A: no"})", Trains::kPair);
  const SampleView sample = data[0];
  CHECK(std::string(sample.ids.begin() + 1, sample.ids.begin() + sample.fork.prompt) == "Q: hi A:");
  CHECK(pair_flags(sample)[static_cast<size_t>(sample.fork.prompt)] == 1);
}

TEST_CASE("a pair's prompt is found under other tools' names, and an answer may be one message") {
  const PairIds expected = pair_ids(load_pairs(R"({"prompt": "a", "chosen": "b", "rejected": "c"})", Trains::kPair)[0]);
  const std::string answers = R"("chosen": "b", "rejected": "c"})";
  for (const std::string& row : {R"({"instruction": "a", )" + answers, R"({"question": "a", )" + answers}) {
    INFO(row);
    CHECK(pair_ids(load_pairs(row, Trains::kPair)[0]) == expected);
  }
  const std::string user = R"([{"role": "user", "content": "a"}])", one = R"({"role": "assistant", "content": "b"})",
                    other = R"({"role": "assistant", "content": "c"})";
  const auto chat = [&](const std::string& prompt, const std::string& chosen, const std::string& rejected) {
    return pair_ids(
        load_pairs("{" + prompt + R"(, "chosen": )" + chosen + R"(, "rejected": )" + rejected + "}", Trains::kPair)[0]);
  };
  const PairIds of_lists = chat("\"prompt\": " + user, "[" + one + "]", "[" + other + "]");
  CHECK(chat("\"messages\": " + user, one, other) == of_lists);
  CHECK(chat(R"("conversations": [{"from": "human", "value": "a"}])", R"({"from": "gpt", "value": "b"})",
             R"({"from": "gpt", "value": "c"})") == of_lists);
}

TEST_CASE("a pair too long loses the front of its prompt behind BOS, or is dropped, and is counted") {
  const std::string rows = R"({"prompt": "abcdef", "chosen": "xy", "rejected": "xyz"})";
  const LoadedDataset cut = load_pairs(rows, Trains::kPair, /*max_length=*/8);
  CHECK(pair_ids(cut[0]) == PairIds{kPieceBos, 'd', 'e', 'f', 'x', 'y', kPieceEos, 'x', 'y', 'z', kPieceEos});
  CHECK(cut.counts().cut == 1);
  CHECK(cut[0].fork.prompt == 4);
  CHECK_THROWS_WITH(load_pairs(rows, Trains::kPair, 8, Overlong::kDrop), Contains("longer than max_length 8"));
  // No token is left that could predict an answer's first.
  CHECK_THROWS_WITH(load_pairs(rows, Trains::kPair, 4), Contains("longer than max_length 4"));
}

TEST_CASE("a pair without its other half and one that is a mark are errors of the row") {
  CHECK_THROWS_WITH(load_pairs(R"({"prompt": "a", "completion": "b"})", Trains::kPair),
                    Contains("no format has these columns"));
  CHECK_THROWS_WITH(load_pairs(R"({"prompt": "a", "completion": "b"})", Trains::kMark),
                    Contains("neither 'label' nor 'kto_tag' is true or false"));
  CHECK_THROWS_WITH(load_pairs(R"({"prompt": "a", "chosen": "b", "rejected": "c", "margin": "x"})", Trains::kPair),
                    Contains("'margin' is \"x\", expected a number"));
}

TEST_CASE("a marked answer keeps its mark, and a pair becomes a good and a bad one") {
  const std::string rows = R"({"prompt": "a", "completion": "b", "label": false}
{"prompt": "a", "completion": "c", "label": "True"})";
  const LoadedDataset marked = load_pairs(rows, Trains::kMark);
  REQUIRE(marked.size() == 2);
  CHECK(marked[0].value == 0);
  CHECK(marked[1].value == 1);
  CHECK_FALSE(marked.has_pairs());
  const LoadedDataset apart = load_pairs(kPair, Trains::kMark);
  REQUIRE(apart.size() == 2);
  CHECK(pair_ids(apart[0]) == PairIds{kPieceBos, 'a', 'b', 'c', 'd', kPieceEos});
  CHECK(pair_ids(apart[1]) == PairIds{kPieceBos, 'a', 'b', 'c', 'e', kPieceEos});
  CHECK(apart[0].value == 1);
  CHECK(apart[1].value == 0);
}

TEST_CASE("forks and values are kept in the cache") {
  const std::string rows = kPair + "\n" + R"({"prompt": "a", "chosen": "b", "rejected": "c", "margin": 0.5})";
  const TemporaryDirectory directory;
  const LoadedDataset made = load_pairs(rows, Trains::kPair, 100, Overlong::kTruncate);
  TokenFileWriter file(directory / "a.tokens");
  Dataset copy = made;
  file.commit(copy);
  const std::optional<Dataset> found = open_token_file(directory / "a.tokens");
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  for (int64_t i = 0; i < 2; ++i) {
    CHECK((*found)[i].fork.prompt == made[i].fork.prompt);
    CHECK((*found)[i].fork.second == made[i].fork.second);
    CHECK((*found)[i].value == made[i].value);
  }
  CHECK(made[0].value == 0);
  CHECK(made[1].value == 0.5F);
}

TEST_CASE("of conversations the messages that both begin with are the prompt, and no answer in it is a target") {
  const std::string rows = R"({"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}],
    "rejected": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"}, {"role": "assistant", "content": "e"}]})";
  std::string line = rows;
  std::erase(line, '\n');
  const DataFiles files;
  const PieceTokenizer tokenizer;
  LoadOptions options{{.max_length = 1000}};
  options.data.trains = Trains::kPair;
  options.data.chat_template = "plain";
  const LoadedDataset data = load_dataset({files.add("rows.jsonl", line, "auto")}, tokenizer, options);
  const SampleView sample = data[0];
  std::string targets;
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    if (sample.supervised[i] && sample.ids[i] < 256) targets += static_cast<char>(sample.ids[i]);
  }
  CHECK(targets.find('b') == std::string::npos);
  CHECK(targets.find('d') != std::string::npos);
  CHECK(targets.find('e') != std::string::npos);
}

}  // namespace lora::test
