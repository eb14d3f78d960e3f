#include "lora/app/data/data_page.h"

#include <set>

#include "lora/terminal/html.h"
#include "lora/terminal/text.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --back: #fbfbf9; --fore: #1d2126; --dim: #6a7178; --line: #dcdfe2; --card: #ffffff;
  --bar: #3b78b5; --want: #b9c7d6; --warn: #a66300; --drop: #b3322b; --good: #2f7d4f; }
@media (prefers-color-scheme: dark) { :root { --back: #15181b; --fore: #e4e7ea; --dim: #98a1a9; --line: #343a40;
  --card: #1d2125; --bar: #6ea8dc; --want: #47566a; --warn: #e0a34a; --drop: #e8756d; --good: #6cc08f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--back); color: var(--fore);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
p.lead, .dim { color: var(--dim); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .75rem; margin-top: 1.25rem; }
.card, .box { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: 500; }
th:first-child, td:first-child, .rules th:last-child, .rules td:last-child { text-align: left; }
td:first-child { white-space: normal; min-width: 10rem; overflow-wrap: anywhere; }
.rules td:last-child { white-space: normal; min-width: 12rem; }
tbody tr:last-child td { border-bottom: 0; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
.tag { border-radius: 1rem; padding: .05rem .55rem; font-size: .8rem; border: 1px solid currentColor; }
.drop { color: var(--drop); } .warn { color: var(--warn); } .off { color: var(--dim); } .good { color: var(--good); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: .75rem; }
.chart { width: 100%; height: auto; display: block; }
.chart .bar { fill: var(--bar); } .chart .axis { stroke: var(--line); }
.chart text { fill: var(--dim); font: 11px system-ui, sans-serif; } .chart .title { fill: var(--fore); font-size: 12px; }
.share { display: grid; grid-template-columns: minmax(8rem, 1fr) 3fr 8rem; gap: .2rem .75rem; align-items: center; }
.share .name { overflow-wrap: anywhere; }
.track { height: .6rem; border-radius: .2rem; background: var(--bar); min-width: 2px; margin: .15rem 0; }
.track.want { background: var(--want); }
@media (max-width: 40rem) { .share { grid-template-columns: 1fr; } .share > div:last-child { margin-bottom: .75rem; } }
summary { cursor: pointer; padding: .15rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: .75rem; margin: .5rem 0 1rem; }
.pair pre { margin: .35rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 14rem; overflow-y: auto; }
.pair .answer { border-top: 1px dashed var(--line); padding-top: .35rem; }
)";

std::string element(const std::string& name, const std::string& inside, const std::string& css = "") {
  return "<" + name + (css.empty() ? "" : " class=\"" + css + "\"") + ">" + inside + "</" + name + ">";
}

std::string html_row(const char* cell, const std::vector<std::string>& cells) {
  std::string row;
  for (const std::string& one : cells) row += element(cell, one);
  return element("tr", row) + "\n";
}

std::string html_table(const std::string& head, const std::string& body, const std::string& css = "") {
  return element("div", element("table", element("thead", head) + element("tbody", body), css), "box scroll") + "\n";
}

std::string source_name(const SourceStudy& source) {
  return element("code", html_escaped(source.path)) +
         (source.validation ? " " + element("span", "validation", "dim") : "");
}

std::string cards(const DataStudy& study) {
  SourceCounts all;
  for (const SourceStudy& source : study.sources) {
    if (!source.validation) all += source.counts;
  }
  std::string text;
  const auto card = [&](const std::string& number, const std::string& label) {
    text += element("div", element("b", number) + label, "card");
  };
  card(with_commas(all.rows), "training rows read");
  card(with_commas(all.filtered), "dropped by cleaning");
  card(with_commas(all.samples), "samples");
  card(with_commas(all.tokens), "tokens");
  card(percent(ratio(all.supervised, all.tokens)), "of them trained");
  card(with_commas(study.epoch_rows), "sequences an epoch");
  card(percent(study.fill), "of their room filled");
  return element("div", text, "cards") + "\n";
}

std::string sources(const DataStudy& study) {
  std::string body;
  const std::vector<SourceColumn> columns = source_columns(study);
  std::vector<std::string> head = {"source"};
  for (const SourceColumn& column : columns) head.push_back(column.title);
  for (const SourceStudy& source : study.sources) {
    std::vector<std::string> cells = {source_name(source)};
    for (const SourceColumn& column : columns) cells.push_back(html_escaped(column.value(source)));
    body += html_row("td", cells);
  }
  return element("h2", "Sources") + html_table(html_row("th", head), body) +
         element("p", "Median, 95 % and longest are tokens a sample.", "dim");
}

std::string shares(const DataStudy& study) {
  if (study.shares.size() < 2) return "";
  const std::string& by = name_of(study.recipe.data.mixing.by);
  std::string rows;
  for (const Mixture::Share& share : study.shares) {
    const auto track = [](double width, const char* css) {
      return "<div class=\"" + std::string(css) + "\" style=\"width:" + fixed(100 * width, 2) + "%\"></div>";
    };
    rows += element("div", "<code>" + html_escaped(share.name) + "</code>", "name") +
            element("div", track(share.target, "track want") + track(share.realised, "track")) +
            element("div", percent(share.realised, 2) + "<br/><span class=\"dim\">expected " +
                               percent(share.target, 2) + "<br/>" + fixed(share.passes, 2) + " passes</span>") +
            "\n";
  }
  return element("h2", "Shares of the first epoch, by " + by) + element("div", rows, "box share") + "\n";
}

std::string charts(const DataStudy& study) {
  std::string text = element("h2", "Lengths and what is trained");
  for (const SourceStudy& source : study.sources) {
    if (source.counts.samples == 0) continue;
    text += element("h3", source_name(source));
    const std::string lengths = "tokens a sample: median " + with_commas(source.median) + ", 95 % " +
                                with_commas(source.p95) + ", longest " + with_commas(source.longest);
    text += element("div",
                    element("div", svg_histogram(source.lengths, lengths, false), "box") +
                        element("div", svg_histogram(source.supervised, "trained share of a sample", true), "box"),
                    "charts") +
            "\n";
  }
  return text;
}

// The findings per source, if there is more than one source.
std::string findings_by_source(const DataStudy& study) {
  if (study.sources.size() < 2) return "";
  std::string body;
  for (const SourceStudy& source : study.sources) {
    std::string found;
    for (size_t rule = 0; rule < kRules; ++rule) {
      const int64_t hits = source.findings.hits[rule];
      if (hits == 0) continue;
      found += (found.empty() ? "" : ", ") + element("code", info(static_cast<Rule>(rule)).key) + " " +
               with_commas(hits) + " (" + percent(ratio(hits, source.findings.rows), 2) + ")";
    }
    body += html_row("td", {source_name(source), found.empty() ? element("span", "nothing", "good") : found});
  }
  return "<br/>" + html_table(html_row("th", {"source", "rows found in it"}), body, "rules");
}

std::string rules(const DataStudy& study) {
  const SourceFindings total = study.cleaning.total();
  std::string body;
  for (size_t i = 0; i < kRules; ++i) {
    const auto rule = static_cast<Rule>(i);
    const RuleAction action = action_of(study.recipe.data.cleaning, rule);
    const bool off = action == RuleAction::kOff;
    std::vector<std::string> cells = {"<code>" + std::string(info(rule).key) + "</code>",
                                      "<span class=\"tag " + name_of(action) + "\">" + name_of(action) + "</span>",
                                      off ? "" : with_commas(total.hits[i]),
                                      off ? "" : percent(ratio(total.hits[i], total.rows), 2),
                                      off ? "" : with_commas(total.dropped_by[i]),
                                      "rows that " + std::string(info(rule).description)};
    body += html_row("td", cells);
  }
  std::string text =
      element("h2", "Rules of cleaning, on the training data") +
      html_table(html_row("th", {"rule", "action", "rows", "share", "dropped", "counts"}), body, "rules") +
      findings_by_source(study);
  std::string kinds;
  for (size_t kind = 0; kind < total.pii.size(); ++kind) {
    if (total.pii[kind] == 0) continue;
    kinds += (kinds.empty() ? "" : ", ") + std::string(pii_name(static_cast<Pii>(kind))) + " " +
             with_commas(total.pii[kind]);
  }
  if (!kinds.empty()) text += element("p", "Rows with personal data or secrets, by pattern: " + kinds + ".");
  if (study.similarities.total() > 0) {
    text += element(
        "div",
        element("div", svg_histogram(study.similarities, "duplicates and contamination by similarity", true), "box"),
        "charts");
  }
  return text;
}

using RowPlaces = std::set<std::pair<bool, int64_t>>;

// Rows whose text must not appear on a page that people share.
RowPlaces secret_rows(const DataStudy& study) {
  RowPlaces places;
  for (const Finding& finding : study.cleaning.findings) {
    if (finding.rule == Rule::kPii) places.emplace(finding.validation, finding.row);
  }
  return places;
}

std::string row_box(const DataStudy& study, const RowPlaces& secret, bool validation, int64_t row,
                    const std::string& where) {
  constexpr size_t kCharacters = 1200;
  std::string inside =
      "<code>" + html_escaped(where) + "</code>" + (validation ? " <span class=\"dim\">validation</span>" : "");
  if (secret.contains({validation, row})) {
    return element("div", inside + element("p", "Its text is not shown: it may hold personal data or secrets.", "dim"),
                   "box");
  }
  const auto text = study.texts.find({validation, row});
  if (text != study.texts.end() && !(text->second.prompt.empty() && text->second.answer.empty())) {
    if (!text->second.prompt.empty()) inside += element("pre", html_excerpt(text->second.prompt, kCharacters));
    inside +=
        element("pre", html_excerpt(text->second.answer, kCharacters), text->second.prompt.empty() ? "" : "answer");
  }
  return element("div", inside, "box");
}

std::string findings(const DataStudy& study) {
  const RowPlaces secret = secret_rows(study);
  std::string text;
  for (size_t i = 0; i < kRules; ++i) {
    const auto rule = static_cast<Rule>(i);
    size_t shown = 0;
    std::string boxes;
    for (const Finding& finding : study.cleaning.findings) {
      if (finding.rule != rule || shown == kShownFindings) continue;
      ++shown;
      boxes += element("p", html_escaped(finding.detail), "dim");
      std::string pair = row_box(study, secret, finding.validation, finding.row, finding.where);
      if (finding.other >= 0) {
        pair += row_box(study, secret, rule == Rule::kContamination, finding.other, finding.other_where);
      }
      boxes += element("div", pair, "pair") + "\n";
    }
    if (shown == 0) continue;
    text += "<details" + std::string(text.empty() ? " open=\"open\"" : "") + "><summary><b><code>" + info(rule).key +
            "</code></b> rows that " + info(rule).description + "</summary>" + boxes + "</details>\n";
  }
  return text.empty() ? "" : element("h2", "Examples") + text;
}

}  // namespace

std::string data_page(const DataStudy& study, const std::string& title) {
  std::string head =
      "<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>" +
      element("title", html_escaped(title)) + element("style", kStyle);
  std::string body = element("h1", html_escaped(title)) +
                     element("p",
                             "Tokenised by <code>" + html_escaped(study.recipe.model.path) + "</code>, at most " +
                                 with_commas(study.recipe.training.max_length) + " tokens a sample.",
                             "lead") +
                     cards(study) + sources(study) + shares(study) + rules(study) + findings(study) + charts(study);
  return "<!DOCTYPE html>\n<html lang=\"en\">" + element("head", head) + "\n" + element("body", body) + "</html>\n";
}

}  // namespace lora
