// Rows with labels: which labels there are, what is trained, and what an unknown one gets.

#include "lora/data/labels.h"

#include <ATen/ATen.h>

#include "lora/data/batch.h"
#include "lora/data/load.h"
#include "models/base/error.h"
#include "models/base/sha256.h"
#include "tests/catch.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

struct LabelledFiles {
  DataSource add(const std::string& name, const std::string& bytes) const {
    write_bytes(directory / name, bytes);
    return {(directory / name).string(), "classification", 1.0, {}};
  }
  TemporaryDirectory directory;
};

TEST_CASE("labels are those of all sources, sorted by bytes") {
  const LabelledFiles files;
  const std::vector<DataSource> sources = {
      files.add("a.csv", "text,label\nx,low\ny,high\nz,low\n"),
      files.add("b.jsonl", "{\"text\": \"w\", \"label\": \"none\"}\n{\"text\": \"v\", \"label\": \"High\"}\n")};
  CHECK(collect_labels(sources) == LabelNames{"High", "high", "low", "none"});
}

TEST_CASE("labels that are whole numbers are sorted by value") {
  const LabelledFiles files;
  CHECK(collect_labels({files.add("a.jsonl",
                                  "{\"text\": \"x\", \"label\": 10}\n{\"text\": \"y\", \"label\": 9}\n"
                                  "{\"text\": \"z\", \"label\": 0}\n")}) == LabelNames{"0", "9", "10"});
  CHECK(collect_labels({files.add("a.csv", "text,label\nx,10\ny,9\nz,09\n")}) == LabelNames{"09", "10", "9"});
}

TEST_CASE("a set without two labels, and a row with an empty one, are refused") {
  const LabelledFiles files;
  CHECK_THROWS_WITH(collect_labels({files.add("a.csv", "text,label\nx,a\ny,a\n")}),
                    Contains("a.csv: every row has the label 'a'; a classifier wants at least two"));
  CHECK_THROWS_WITH(collect_labels({files.add("a.csv", "text,label\nx,a\ny,\n")}),
                    Contains("a.csv:3: the label is empty"));
  CHECK_THROWS_WITH(collect_labels({files.add("a.csv", "text,label\n")}), Contains("holds no rows"));
  CHECK_THROWS_WITH(collect_labels({files.add("a.csv", "text,category\nx,a\n")}),
                    Contains("a.csv:2: no column 'label'") && Contains("`fields` renames columns"));
}

TEST_CASE(
    "labels are kept in the cache with the bytes and columns they are of, and made again where the file is damaged") {
  const LabelledFiles files;
  DataSource source = files.add("a.csv", "text,label,other\nx,low,1\ny,high,2\n");
  const CacheOptions cache{.directory = files.directory / "cache"};
  const auto kept = [&] {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(cache.directory)) {
      if (entry.path().extension() == ".labels") found.push_back(entry.path());
    }
    return found;
  };
  CHECK(collect_labels({source}, {}, cache) == LabelNames{"high", "low"});
  REQUIRE(kept().size() == 1);
  const std::filesystem::path file = kept()[0];
  const std::string whole = read_bytes(file);
  // Without the rows being read: what stands there is believed where it is whole, as a sign that it was read.
  const std::string others = R"(["a","b"])";
  write_bytes(file, "{\"labels\":" + others + ",\"sha256\":\"" + sha256_of(others) + "\"}\n");
  CHECK(collect_labels({source}, {}, cache) == LabelNames{"a", "b"});
  for (const std::string& damaged : {whole.substr(0, whole.size() / 2), "[" + whole + "]", std::string("{}"),
                                     std::string(whole).replace(whole.find("low"), 3, "lox")}) {
    write_bytes(file, damaged);
    CHECK(collect_labels({source}, {}, cache) == LabelNames{"high", "low"});
    CHECK(read_bytes(file) == whole);
  }
  source.fields = {{"label", "other"}};
  CHECK(collect_labels({source}, {}, cache) == LabelNames{"1", "2"});
  source.fields.clear();
  CHECK(collect_labels({files.add("a.csv", "text,label,other\nx,low,1\ny,mid,2\n")}, {}, cache) ==
        LabelNames{"low", "mid"});
  CHECK(kept().size() == 3);
}

TEST_CASE("an unknown label is named with its place and the nearest known ones") {
  const LabelledFiles files;
  const Labels labels({"card_arrival", "card_linking", "top_up"});
  const DataSource source = files.add("valid.csv", "text,label\nx,top_up\n\"y\ny\",card_arival\n");
  CHECK_THROWS_WITH(load_dataset({source}, PieceTokenizer(), {20, labels}),
                    Contains("valid.csv:3: unknown label 'card_arival'") && Contains("did you mean 'card_arrival'") &&
                        Contains("the 3 labels are 'card_arrival'"));
}

TEST_CASE("a text is BOS and its tokens, its label read at the last one, the right end is cut") {
  const LabelledFiles files;
  const Labels labels({"no", "yes"});
  const DataSource source = files.add("a.csv", "text,label\nabc,yes\n\"\",no\nabcdefgh,no\n<s>ab,yes\n");
  const Dataset dataset = load_dataset({source}, PieceTokenizer(), {6, labels});
  REQUIRE(dataset.size() == 4);
  const auto bos = static_cast<int32_t>(PieceTokenizer::kBos);
  CHECK(std::ranges::equal(dataset[0].ids, std::vector<int32_t>{bos, 'a', 'b', 'c'}));
  CHECK(std::ranges::equal(dataset[0].supervised, std::vector<uint8_t>{0, 0, 0, 1}));
  CHECK(dataset[0].label == 1);
  CHECK(std::ranges::equal(dataset[1].ids, std::vector<int32_t>{bos}));
  CHECK(std::ranges::equal(dataset[1].supervised, std::vector<uint8_t>{1}));
  CHECK(std::ranges::equal(dataset[2].ids, std::vector<int32_t>{bos, 'a', 'b', 'c', 'd', 'e'}));
  CHECK(std::ranges::equal(dataset[2].supervised, std::vector<uint8_t>{0, 0, 0, 0, 0, 1}));
  CHECK(std::ranges::equal(dataset[3].ids, std::vector<int32_t>{bos, 'a', 'b'}));
  CHECK(dataset.counts().cut == 1);
  CHECK(dataset.supervised_tokens() == 4);

  const TrainBatch batch = make_batch(dataset, std::vector<int64_t>{0, 3}, 8);
  CHECK(batch.supervised == 2);
  CHECK(batch.tokens.lengths == std::vector<int64_t>{4, 3, 1});
  constexpr int64_t none = kIgnoredTarget;
  CHECK(batch.targets.equal(at::tensor({none, none, none, int64_t{1}, none, none, int64_t{1}, none}, at::kLong)));
}

TEST_CASE("texts without a token are left out, and said to be where nothing is left") {
  const LabelledFiles files;
  const Labels labels({"no", "yes"});
  const DataSource source = files.add("a.csv", "text,label\n\"\",yes\nx,no\n");
  CHECK(load_dataset({source}, PieceTokenizer({}, false), {6, labels}).counts().untrained == 1);
  const DataSource empty = files.add("b.csv", "text,label\n\"\",yes\n");
  CHECK_THROWS_WITH(load_dataset({empty}, PieceTokenizer({}, false), {6, labels}), Contains("text without a token"));
}

TEST_CASE("rows with labels and rows without do not mix") {
  const LabelledFiles files;
  DataSource source = files.add("a.csv", "text,label\nx,no\ny,yes\n");
  CHECK_THROWS_WITH(load_dataset({source}, PieceTokenizer(), {6}), Contains("a.csv:2: a row with a label"));
  source.format = "text";
  CHECK_THROWS_WITH(load_dataset({source}, PieceTokenizer(), {6, Labels({"no", "yes"})}),
                    Contains("a.csv:2: a row without a label"));
  CHECK_THROWS_WITH(collect_labels({source}), Contains("a.csv:2: a row without a label"));
}

}  // namespace
}  // namespace lora::test
