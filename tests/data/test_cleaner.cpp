// Rows held to the rules of data.cleaning.

#include "lora/data/cleaning/cleaner.h"

#include <ATen/Parallel.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "lora/data/cleaning/normalise.h"
#include "lora/data/shuffle.h"
#include "tests/catch.h"
#include "tests/shared_data.h"

namespace lora::test {
namespace {

struct Text {
  std::string prompt, answer;
  size_t source = 0;
  std::optional<std::string> rejected = {};
  std::optional<bool> mark = {};
};

struct Cleaned {
  std::vector<uint8_t> keep;
  CleaningReport report;
  int64_t hits(Rule rule) const { return report.total().hits[static_cast<size_t>(rule)]; }
};

// In blocks of `block` rows.
Cleaned clean(const CleaningConfig& config, const std::vector<Text>& train, const std::vector<Text>& validation = {},
              size_t block = 7) {
  Cleaner cleaner(config, 100);
  Cleaned cleaned;
  const auto pass = [&](const std::vector<Text>& texts, bool training) {
    for (size_t begin = 0; begin < texts.size(); begin += block) {
      std::vector<std::string> places;
      std::vector<CleaningRow> rows;
      for (size_t i = begin; i < std::min(texts.size(), begin + block); ++i)
        places.push_back("f:" + std::to_string(i + 1));
      for (size_t i = 0; i < places.size(); ++i) {
        const Text& text = texts[begin + i];
        CleaningRow& row = rows.emplace_back(CleaningRow{text.prompt, text.answer});
        if (text.rejected) row.rejected = {text.prompt, *text.rejected};
        row.mark = text.mark;
        row.source = text.source;
        row.where = places[i];
      }
      if (training) {
        const auto keep = cleaner.train(rows);
        cleaned.keep.insert(cleaned.keep.end(), keep.begin(), keep.end());
      } else {
        cleaner.validation(rows);
      }
    }
  };
  pass(validation, false);
  pass(train, true);
  cleaned.report = cleaner.report();
  return cleaned;
}

CleaningConfig all(RuleAction action) {
  CleaningConfig config;
  config.exact_duplicates = config.near_duplicates.action = config.contamination.action = config.conflicting_answers =
      config.empty_answers = config.identical_answers = config.length.action = config.answer_ratio.action =
          config.invalid_utf8 = config.control_characters = config.non_alphanumeric.action = config.pii = action;
  return config;
}

using Keep = std::vector<uint8_t>;

const std::string kQuestion =
    "Natalia sold clips to forty eight of her friends in April, and then she sold half as many clips in May. How many "
    "clips did she sell altogether?";

TEST_CASE("copies are found whatever their case and white space, within and across sources") {
  const std::vector<Text> rows = {{"What is  it?", "A dog", 0},
                                  {"what is it?", "a DOG", 0},
                                  {"What is it?", "A cat", 0},
                                  {"What is it? ", "A dog", 1}};
  CleaningConfig config;
  CHECK(clean(config, rows).keep == Keep{1, 1, 1, 1});
  CHECK(clean(config, rows).hits(Rule::kExactDuplicates) == 2);
  config.exact_duplicates = RuleAction::kDrop;
  const Cleaned dropped = clean(config, rows);
  CHECK(dropped.keep == Keep{1, 0, 1, 0});
  CHECK(dropped.report.train[1].dropped == 1);
  CHECK(dropped.hits(Rule::kConflictingAnswers) == 1);
  REQUIRE(dropped.report.findings.size() >= 2);
  CHECK(dropped.report.findings[0].where == "f:2");
  CHECK(dropped.report.findings[0].other_where == "f:1");
  config.exact_duplicates = RuleAction::kOff;
  CHECK(clean(config, rows).hits(Rule::kExactDuplicates) == 0);
}

TEST_CASE("where prompt and answer meet matters to equality") {
  CleaningConfig config;
  config.near_duplicates.action = RuleAction::kOff;
  CHECK(clean(config, {{"ab", "c"}, {"a", "bc"}, {"", "abc"}}).hits(Rule::kExactDuplicates) == 0);
}

TEST_CASE("pairs contradict where they prefer the opposite, and repeat an earlier one where both answers do") {
  const auto pair = [](const std::string& chosen, const std::string& rejected, const std::string& prompt = "Q?") {
    return Text{prompt, chosen, 0, rejected};
  };
  const std::vector<Text> rows = {pair("a dog", "a cat"), pair("a dog", "a bird"),      pair("A cat", "a dog"),
                                  pair("a DOG", "a cat"), pair("a cat", "a dog", "R?"), pair("a bird", "a dog")};
  CleaningConfig config;
  config.near_duplicates.action = RuleAction::kOff;
  const Cleaned warned = clean(config, rows);
  CHECK(warned.keep == Keep{1, 1, 1, 1, 1, 1});
  CHECK(warned.hits(Rule::kConflictingAnswers) == 2);
  CHECK(warned.hits(Rule::kExactDuplicates) == 1);
  for (const Finding& finding : warned.report.findings) {
    if (finding.where == "f:3") CHECK(finding.other_where == "f:1");
  }
  config.exact_duplicates = RuleAction::kOff;
  config.conflicting_answers = RuleAction::kDrop;
  CHECK(clean(config, rows).keep == Keep{1, 1, 0, 1, 1, 0});
}

TEST_CASE("a pair of one answer is dropped, exactly alike alone, and one without a rejected answer is empty") {
  const std::vector<Text> rows = {
      {"Q?", "a dog", 0, "a dog"}, {"Q?", "a dog", 0, "A dog"}, {"Q?", "a dog", 0, " "}, {"Q?", " ", 0, "a dog"}};
  const Cleaned cleaned = clean({}, rows);
  CHECK(cleaned.keep == Keep{0, 1, 1, 1});
  CHECK(cleaned.hits(Rule::kIdenticalAnswers) == 1);
  CHECK(cleaned.hits(Rule::kEmptyAnswers) == 2);
  CHECK(clean({}, {}, rows).report.validation[0].hits[static_cast<size_t>(Rule::kIdenticalAnswers)] == 1);
}

TEST_CASE("an answer that is marked good here and bad there contradicts itself, and is no copy") {
  const auto marked = [](const std::string& answer, bool good) { return Text{"Q?", answer, 0, {}, good}; };
  CleaningConfig config;
  config.near_duplicates.action = RuleAction::kOff;
  const Cleaned cleaned =
      clean(config, {marked("a dog", true), marked("a cat", false), marked("A dog", false), marked("a dog", true)});
  CHECK(cleaned.hits(Rule::kConflictingAnswers) == 1);
  CHECK(cleaned.hits(Rule::kExactDuplicates) == 1);
}

TEST_CASE("a row that nearly repeats an earlier one is found, one that does not is not") {
  std::string typo = kQuestion,
              other = "A train leaves the station at noon with eighty people on board, and nobody knows";
  typo[40] = 'x';
  typo.erase(90, 1);
  const std::vector<Text> rows = {{"", kQuestion}, {"", other}, {"", typo}, {"", "HEY! " + kQuestion}};
  CleaningConfig config;
  config.near_duplicates = {RuleAction::kDrop, 0.7, NgramUnit::kChar, 5, 128};
  CHECK(clean(config, rows).keep == Keep{1, 1, 0, 0});
  CHECK(clean(config, rows, {}, 1).keep == Keep{1, 1, 0, 0});
  config.near_duplicates.threshold = 1.0;
  CHECK(clean(config, rows).keep == Keep{1, 1, 1, 1});
}

TEST_CASE("no pair below the threshold is taken for near duplicates") {
  SplitMix64 random(3);
  std::vector<Text> rows;
  for (int i = 0; i < 400; ++i) {
    std::string text;
    for (int w = 0; w < 30; ++w) text += "w" + std::to_string(random.below(i % 2 == 0 ? 40 : 4000)) + " ";
    rows.push_back({"", text});
  }
  for (const double threshold : {0.3, 0.5, 0.8}) {
    CleaningConfig config;
    config.near_duplicates = {RuleAction::kWarn, threshold, NgramUnit::kWord, 1, 128};
    std::vector<std::vector<uint32_t>> sets;
    for (const Text& row : rows) {
      sets.push_back(shingles(normalised_words(row.answer), {true, 1}));
      make_set(sets.back());
      make_sketch(sets.back());
    }
    const Cleaned cleaned = clean(config, rows, {}, 64);
    std::set<int64_t> found;
    for (const Finding& finding : cleaned.report.findings) {
      if (finding.rule != Rule::kNearDuplicates) continue;
      found.insert(finding.row);
      const auto &a = sets[static_cast<size_t>(finding.row)], &b = sets[static_cast<size_t>(finding.other)];
      REQUIRE(jaccard(a.data(), a.size(), b.data(), b.size()) >= threshold);
    }
    CHECK(cleaned.hits(Rule::kNearDuplicates) >= static_cast<int64_t>(found.size()));
  }
}

TEST_CASE("bands catch pairs at the threshold, and need no more permutations than there are") {
  for (const double threshold : {0.4, 0.6, 0.7, 0.8, 0.9, 0.99}) {
    const Banding banding = choose_banding(threshold, 128);
    CHECK(banding.bands * banding.rows <= 128);
    CHECK(banding.caught(threshold) >= 0.99);
  }
  CHECK(choose_banding(0.01, 16).rows == 1);
}

TEST_CASE("training rows that stand in the validation data are found") {
  std::string typo = kQuestion;
  typo[50] = 'q';
  const std::vector<Text> validation = {{"", "something else"}, {kQuestion, "72"}};
  const std::vector<Text> train = {{kQuestion, " 72"}, {"Who?", "me"}, {typo, "72"}};
  CleaningConfig config;
  const Cleaned warned = clean(config, train, validation);
  CHECK(warned.hits(Rule::kContamination) == 2);
  CHECK(warned.keep == Keep{1, 1, 1});
  CHECK(warned.report.findings[0].other_where == "f:2");
  config.contamination.action = RuleAction::kDrop;
  CHECK(clean(config, train, validation).keep == Keep{0, 1, 0});
  CHECK(clean(config, train, validation).hits(Rule::kNearDuplicates) == 0);
  CHECK(clean(config, train).keep == Keep{1, 1, 1});
}

TEST_CASE("each rule on a row's text finds what it names and nothing else") {
  CleaningConfig config = all(RuleAction::kDrop);
  config.length.max_chars = 400;
  config.answer_ratio.max_ratio = 20;
  const auto broken = [&](const std::string& prompt, const std::string& answer) {
    std::set<std::string> rules;
    for (const Finding& finding : clean(config, {{prompt, answer}}).report.findings)
      rules.insert(info(finding.rule).key);
    return rules;
  };
  using Rules = std::set<std::string>;
  CHECK(broken("a fine prompt", "and an answer").empty());
  CHECK(broken("p", "") == Rules{"empty_answers"});
  CHECK(broken("p", " \n") == Rules{"empty_answers"});
  CHECK(broken("bro\xc3ken", "answer") == Rules{"invalid_utf8"});
  CHECK(broken("contr\x02ol", "answer") == Rules{"control_characters"});
  CHECK(broken("so it goes", std::string(150, 'a')).empty());
  CHECK(broken("go", std::string(150, 'a')) == Rules{"answer_ratio"});
  CHECK(broken("", std::string(401, 'a')) == Rules{"length"});
  CHECK(broken("?!?!?!", ";;;;;;;") == Rules{"non_alphanumeric"});
  CHECK(broken("mail me", "at me@example.org") == Rules{"pii"});
}

// Rows with some of everything, from few enough words that many repeat one another.
std::vector<Text> random_rows(int count, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<Text> rows;
  for (int i = 0; i < count; ++i) {
    Text text;
    text.source = random.below(3);
    for (uint64_t w = random.below(4); w > 0; --w) text.prompt += "word" + std::to_string(random.below(6)) + " ";
    for (uint64_t w = random.below(8); w > 0; --w) text.answer += "answer" + std::to_string(random.below(5)) + " ";
    if (random.below(20) == 0) text.answer += "\x01";
    if (random.below(20) == 0) text.prompt += "\xff";
    rows.push_back(std::move(text));
  }
  return rows;
}

TEST_CASE("what was cleaned is clean, and counts add up") {
  const auto validation = random_rows(40, 9);
  for (const uint64_t seed : {1, 2, 3}) {
    const auto rows = random_rows(600, seed);
    const Cleaned once = clean(all(RuleAction::kDrop), rows, validation);
    std::vector<Text> left;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (once.keep[i]) left.push_back(rows[i]);
    }
    REQUIRE(left.size() < rows.size());
    const Cleaned twice = clean(all(RuleAction::kDrop), left, validation);
    CHECK(twice.report.total().dropped == 0);
    for (const int64_t hits : twice.report.total().hits) CHECK(hits == 0);
    const SourceFindings total = once.report.total();
    CHECK(total.rows == 600);
    CHECK(total.rows - total.dropped == static_cast<int64_t>(left.size()));
    int64_t by_rule = 0;
    for (const int64_t count : total.dropped_by) by_rule += count;
    CHECK(by_rule == total.dropped);
  }
}

TEST_CASE("rows kept for their texts are the same set in any order") {
  CleaningConfig config = all(RuleAction::kOff);
  config.exact_duplicates = RuleAction::kDrop;
  auto rows = random_rows(500, 4);
  const auto kept = [&] {
    std::multiset<std::string> texts;
    const Cleaned cleaned = clean(config, rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (cleaned.keep[i]) texts.insert(rows[i].prompt + "|" + rows[i].answer);
    }
    return texts;
  };
  const auto before = kept();
  SplitMix64 random(1);
  shuffle(rows, random);
  CHECK(kept() == before);
}

TEST_CASE("cleaning does not depend on the number of threads or the size of blocks") {
  const auto rows = random_rows(2000, 5), validation = random_rows(100, 6);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Cleaned one = clean(all(RuleAction::kWarn), rows, validation, 1000);
  at::set_num_threads(4);
  const Cleaned four = clean(all(RuleAction::kWarn), rows, validation, 333);
  at::set_num_threads(threads);
  CHECK(one.keep == four.keep);
  CHECK(one.report.total().hits == four.report.total().hits);
  REQUIRE(one.report.findings.size() == four.report.findings.size());
  for (size_t i = 0; i < one.report.findings.size(); ++i) {
    CHECK(one.report.findings[i].row == four.report.findings[i].row);
    CHECK(one.report.findings[i].other == four.report.findings[i].other);
  }
}

TEST_CASE("many rows that are nearly alike take no longer for it") {
  std::vector<Text> rows;
  SplitMix64 random(8);
  const std::string common =
      "a common beginning of all of these rows that makes them look alike to every band of hashes ";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = common;
    for (int k = 0; k < 6; ++k) text += " " + std::to_string(random.next() % 100000);
    rows.push_back({"", text});
  }
  CleaningConfig config = all(RuleAction::kOff);
  config.near_duplicates = {RuleAction::kWarn, 0.95, NgramUnit::kChar, 5, 128};
  CHECK(clean(config, rows, {}, 4096).hits(Rule::kNearDuplicates) < 100);
}

TEST_CASE("typos planted in real questions are found, and questions are told apart") {
  const auto file = shared_data("gsm8k/test.jsonl");
  if (!file) return;
  std::vector<Text> rows;
  std::ifstream in(*file);
  for (std::string line; std::getline(in, line) && rows.size() < 500;) {
    const auto row = nlohmann::json::parse(line);
    rows.push_back({row.at("question"), row.at("answer")});
  }
  const size_t whole = rows.size();
  SplitMix64 random(2);
  for (size_t i = 0; i < whole; ++i) {
    Text edited = rows[i];
    for (int k = 0; k < 3; ++k) edited.prompt[random.below(edited.prompt.size())] = 'z';
    rows.push_back(std::move(edited));
  }
  CleaningConfig config = all(RuleAction::kOff);
  config.near_duplicates.action = RuleAction::kDrop;
  const Cleaned cleaned = clean(config, rows, {}, 128);
  CHECK(std::count(cleaned.keep.begin(), cleaned.keep.begin() + static_cast<std::ptrdiff_t>(whole), 1) ==
        static_cast<std::ptrdiff_t>(whole));
  CHECK(cleaned.hits(Rule::kNearDuplicates) >= static_cast<int64_t>(whole) * 98 / 100);
}

}  // namespace
}  // namespace lora::test
