// Cleaning on the way from files to samples.

#include "lora/data/cleaning/load_filter.h"

#include "lora/data/cleaning/notes.h"
#include "lora/data/render.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

struct Data {
  TemporaryDirectory directory;
  std::vector<DataSource> train, validation;

  void add(std::vector<DataSource>& list, const std::string& name, const std::string& format,
           const std::string& bytes) {
    write_bytes(directory / name, bytes);
    list.push_back({(directory / name).string(), format, 1.0, {}});
  }
  std::pair<LoadedDataset, CleaningReport> load(const CleaningConfig& config, const CacheOptions& cache = {}) const {
    DataConfig data;
    data.train = train;
    data.validation = validation;
    data.cleaning = config;
    CleaningFilters filters(data, 3);
    const PieceTokenizer tokenizer;
    LoadOptions options{{.max_length = 1000, .data = data}};
    options.cache = cache;
    options.filter = filters.validation();
    load_dataset(validation, tokenizer, options);
    options.filter = filters.train();
    LoadedDataset dataset = load_dataset(train, tokenizer, options);
    return {std::move(dataset), filters.report()};
  }
};

TEST_CASE("rows that are dropped make no samples, and are counted in their source") {
  Data data;
  data.add(data.validation, "v.jsonl", "text", "{\"text\": \"a held-out text\"}\n");
  data.add(data.train, "a.jsonl", "text",
           "{\"text\": \"one\"}\n{\"text\": \"A held-out  text\"}\n{\"text\": \"One\"}\n");
  data.add(data.train, "b.jsonl", "completion",
           "{\"prompt\": \"two \", \"completion\": \"2\"}\n{\"prompt\": \"x\", \"completion\": \"\"}\n");
  CleaningConfig config;
  CHECK(data.load(config).first.size() == 5);
  config.exact_duplicates = config.contamination.action = config.empty_answers = RuleAction::kDrop;
  const auto [dataset, report] = data.load(config);
  CHECK(dataset.lengths() == std::vector<int64_t>{5, 7});
  REQUIRE(dataset.sources().size() == 2);
  CHECK(dataset.sources()[0].counts.filtered == 2);
  CHECK(dataset.sources()[1].counts.filtered == 1);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(report.train[i].rows == dataset.sources()[i].counts.rows);
    CHECK(report.train[i].dropped == dataset.sources()[i].counts.filtered);
  }
  REQUIRE_FALSE(report.findings.empty());
  CHECK(report.findings[0].where == data.train[0].path + ":2");
  CHECK(report.findings[0].other_where == data.validation[0].path + ":1");
}

TEST_CASE(
    "without its filter's calls the validation data are read for contamination, and a load begun anew is cleaned "
    "anew") {
  Data data;
  data.add(data.validation, "v.jsonl", "text", "{\"text\": \"a held-out text\"}\n");
  DataConfig config;
  config.validation = data.validation;
  CleaningFilters filters(config, 3);
  const RowFilter filter = filters.train();
  for (int load = 0; load < 2; ++load) {
    std::vector<ExampleRow> rows = {{{"", "A held-out text"}, 0, "t:1"}, {{"", "another"}, 0, "t:2"}};
    filter(rows);
    CHECK(filters.report().total().rows == 2);
    CHECK(filters.report().total().hits[static_cast<size_t>(Rule::kContamination)] == 1);
    CHECK(filters.report().total().hits[static_cast<size_t>(Rule::kExactDuplicates)] == 0);
  }
}

TEST_CASE("a source that its own filters empty is an error") {
  Data data;
  data.add(data.train, "a.jsonl", "text", "{\"text\": \"one\"}\n");
  data.add(data.train, "b.jsonl", "text", "{\"text\": \"one\"}\n{\"text\": \"ONE\"}\n");
  CleaningConfig config;
  config.exact_duplicates = RuleAction::kDrop;
  CHECK_THROWS_AS(data.load(config), DataError);
  CHECK_THROWS_WITH(data.load(config), Contains("b.jsonl: none of its 2 rows is left"));
}

TEST_CASE("the words of a template do not make rows look alike") {
  CHECK(own_words({.prompt = "Below is an instruction: Name a bird", .completion = "", .user = "Name a bird"}) ==
        "Name a bird");
  CHECK(own_words({.prompt = "Name a bird", .completion = ""}) == "Name a bird");
  Data data;
  data.add(data.train, "a.json", "alpaca",
           "[{\"instruction\": \"Name a bird\", \"output\": \"owl\"}, {\"instruction\": \"Sum 5 and 6\", \"output\": "
           "\"11\"}]");
  CleaningConfig config;
  config.near_duplicates.threshold = 0.5;
  CHECK(data.load(config).second.total().hits[static_cast<size_t>(Rule::kNearDuplicates)] == 0);
}

TEST_CASE("a preview parts tokens, and no character") {
  const PieceTokenizer tokenizer({"ab"});
  const std::string text = "abcé";
  Sample sample;
  for (const Token& token : tokenizer.encode(text)) {
    sample.ids.push_back(static_cast<int32_t>(token.id));
    sample.supervised.push_back(token.begin >= 2);
  }
  CHECK(render_sample(sample, tokenizer, false, "|") == "⟦ab|⟧c|é");
  CHECK(render_sample(sample, tokenizer, false) == "⟦ab⟧cé");
}

TEST_CASE("what cleaning found comes back from its notes, and from no other text") {
  Data data;
  data.add(data.validation, "v.jsonl", "text", "{\"text\": \"a held-out text\"}\n");
  data.add(data.train, "a.jsonl", "text",
           "{\"text\": \"one\"}\n{\"text\": \"A held-out  text\"}\n{\"text\": \"One\"}\n{\"text\": \"a@b.org\"}\n");
  CleaningConfig config;
  config.exact_duplicates = RuleAction::kDrop;
  const CleaningReport report = data.load(config).second;
  const auto found = from_notes(to_notes(report));
  REQUIRE(found);
  CHECK(to_notes(*found) == to_notes(report));
  CHECK(found->train[0].rows == 4);
  CHECK(found->train[0].dropped_by == report.train[0].dropped_by);
  CHECK(found->train[0].pii == report.train[0].pii);
  REQUIRE(found->findings.size() == report.findings.size());
  for (size_t i = 0; i < report.findings.size(); ++i) {
    CHECK(found->findings[i].rule == report.findings[i].rule);
    CHECK(found->findings[i].where == report.findings[i].where);
    CHECK(found->findings[i].other_where == report.findings[i].other_where);
    CHECK(found->findings[i].similarity == report.findings[i].similarity);
  }
  CHECK(!from_notes(""));
  CHECK(!from_notes("{}"));
  CHECK(!from_notes(to_notes(report).substr(1)));
}

}  // namespace
}  // namespace lora::test
