// Histograms, escaping and the page of a recipe's data.

#include "lora/app/data/data_page.h"

#include "lora/terminal/html.h"
#include "tests/catch.h"
#include "tests/markup.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("any bytes are harmless text in HTML") {
  CHECK(html_escaped("<script>alert(\"x\" & 'y')</script>") ==
        "&lt;script&gt;alert(&quot;x&quot; &amp; &#39;y&#39;)&lt;/script&gt;");
  CHECK(html_escaped("a\x1b[31m\x7f\n\tb") == "a␛[31m␡\n\tb");
  CHECK(html_escaped("\xff\xc3|\xc2\x85") == "\uFFFD\uFFFD|\uFFFD");
  CHECK(html_excerpt("äöü", 2) == "äö…");
  CHECK(html_excerpt("äöü", 3) == "äöü");
}

TEST_CASE("bins are of a round width and hold every value") {
  const Histogram lengths = histogram({0, 3, 10, 487, 512}, 24);
  CHECK(lengths.width == 50);
  CHECK(lengths.counts.size() == 11);
  CHECK(lengths.counts[0] == 3);
  CHECK(lengths.total() == 5);
  CHECK(histogram({}, 24).counts.empty());
  CHECK(histogram({7}, 24).width == 1);
  const Histogram shares = share_histogram({0.0, 0.05, 0.999, 1.0}, 20);
  CHECK(shares.counts[0] == 1);
  CHECK(shares.counts[1] == 1);
  CHECK(shares.counts[19] == 2);
  CHECK_THAT(svg_histogram(lengths, "a <b>", false), Contains("a &lt;b&gt;") && Contains("0 to 50: 3"));
  CHECK_THAT(bars(lengths, 10), Contains("0  ██████████  3"));
}

DataStudy hostile_study() {
  const std::string evil = "</pre><script>alert(1)</script>\xff\x01&\"'";
  DataStudy study;
  study.recipe.model.path = evil;
  for (const bool validation : {false, true}) {
    SourceStudy source;
    source.path = evil;
    source.validation = validation;
    source.counts = {.rows = 9, .filtered = 2, .samples = 7, .tokens = 70, .supervised = 30};
    source.lengths = histogram({1, 2, 3, 99}, 24);
    source.supervised = share_histogram({0.5, 0.7}, 20);
    study.sources.push_back(source);
  }
  study.shares = {{evil, 0.5, 0.49, 3, 30, 1.0}, {"b", 0.5, 0.51, 4, 40, 2.0}};
  study.cleaning.train.resize(1);
  study.cleaning.train[0].rows = 9;
  for (size_t rule = 0; rule < kRules; ++rule) {
    ++study.cleaning.train[0].hits[rule];
    study.cleaning.findings.push_back({.rule = static_cast<Rule>(rule),
                                       .row = static_cast<int64_t>(rule),
                                       .where = evil,
                                       .other = 0,
                                       .other_where = evil,
                                       .similarity = 0.9,
                                       .detail = evil});
    study.texts[{false, static_cast<int64_t>(rule)}] = {evil, "answer " + std::to_string(rule)};
    study.texts[{true, static_cast<int64_t>(rule)}] = {evil, evil};
  }
  study.similarities = share_histogram({0.9}, 40);
  return study;
}

TEST_CASE("the page is well-formed and runs nothing that stands in the data") {
  const std::string page = data_page(hostile_study(), "<title>");
  CHECK(well_formed(page));
  CHECK_THAT(page, !Contains("<script") && !Contains("http:") && !Contains("https:") && !Contains("<link") &&
                       !Contains("@import"));
  CHECK_THAT(page, Contains("&lt;script&gt;") && Contains("prefers-color-scheme"));
  for (size_t rule = 0; rule < kRules; ++rule) CHECK_THAT(page, Contains(info(static_cast<Rule>(rule)).key));
}

TEST_CASE("the text of a row with personal data is not on the page") {
  const std::string page = data_page(hostile_study(), "t");
  const auto secret = static_cast<size_t>(Rule::kPii);
  CHECK_THAT(page,
             Contains("answer " + std::to_string(secret + 1)) && !Contains("answer " + std::to_string(secret) + "<"));
}

TEST_CASE("a page of no data is a page") { CHECK(well_formed(data_page(DataStudy{}, ""))); }

}  // namespace
}  // namespace lora::test
