#include "lora/app/data/data_page.h"

#include <set>

#include "lora/terminal/html.h"
#include "lora/terminal/page.h"
#include "lora/terminal/text.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

std::string source_name(const SourceStudy& source) {
  return html_element("code", html_escaped(source.path)) +
         (source.validation ? " " + html_element("span", "validation", "dim") : "");
}

std::string cards(const DataStudy& study) {
  SourceCounts all;
  for (const SourceStudy& source : study.sources) {
    if (!source.validation) all += source.counts;
  }
  return html_cards({{with_commas(all.rows), "training rows read"},
                     {with_commas(all.filtered), "dropped by cleaning"},
                     {with_commas(all.samples), "samples"},
                     {with_commas(all.tokens), "tokens"},
                     {percent(ratio(all.supervised, all.tokens)), "of them trained"},
                     {with_commas(study.epoch_rows), "sequences an epoch"},
                     {percent(study.fill), "of their room filled"}});
}

std::string sources(const DataStudy& study) {
  const TextTable content = studied_sources(study);
  std::string body;
  for (size_t i = 0; i < study.sources.size(); ++i) {
    std::vector<std::string> cells;
    for (const std::string& cell : content.rows[i + 1]) cells.push_back(html_escaped(cell));
    cells[0] = source_name(study.sources[i]);
    body += html_row("td", cells, content.right);
  }
  return html_element("h2", "Sources") + html_table(html_row("th", content.rows[0], content.right), body) +
         html_element("p", "Median, 95 % and longest are tokens a sample.", "dim");
}

std::string shares(const DataStudy& study) {
  if (study.shares.size() < 2) return "";
  const std::string& by = name_of(study.recipe.data.mixing.by);
  std::string rows;
  for (const Mixture::Share& share : study.shares) {
    const auto track = [](double width, const char* css) {
      return "<div class=\"" + std::string(css) + "\" style=\"width:" + fixed(100 * width, 2) + "%\"></div>";
    };
    rows += html_element("div", "<code>" + html_escaped(share.name) + "</code>", "name") +
            html_element("div", track(share.target, "track want") + track(share.realised, "track")) +
            html_element("div", percent(share.realised, 2) + "<br/><span class=\"dim\">expected " +
                                    percent(share.target, 2) + "<br/>" + fixed(share.passes, 2) + " passes</span>") +
            "\n";
  }
  return html_element("h2", "Shares of the first epoch, by " + by) + html_element("div", rows, "box share") + "\n";
}

std::string charts(const DataStudy& study) {
  std::string text = html_element("h2", "Lengths and what is trained");
  for (const SourceStudy& source : study.sources) {
    if (source.counts.samples == 0) continue;
    text += html_element("h3", source_name(source));
    const std::string lengths = "tokens a sample: median " + with_commas(source.median) + ", 95 % " +
                                with_commas(source.p95) + ", longest " + with_commas(source.longest);
    text += html_element(
                "div",
                html_element("div", svg_histogram(source.lengths, lengths, false), "box") +
                    html_element("div", svg_histogram(source.supervised, "trained share of a sample", true), "box"),
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
      found += (found.empty() ? "" : ", ") + html_element("code", info(static_cast<Rule>(rule)).key) + " " +
               with_commas(hits) + " (" + percent(ratio(hits, source.findings.rows), 2) + ")";
    }
    body += html_row("td", {source_name(source), found.empty() ? html_element("span", "nothing", "good") : found});
  }
  return "<br/>" + html_table(html_row("th", {"source", "rows found in it"}), body, "rules");
}

std::string rules(const DataStudy& study) {
  const SourceFindings total = study.cleaning.total();
  const std::vector<bool> right = {false, false, true, true, true, false};
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
    body += html_row("td", cells, right);
  }
  std::string text =
      html_element("h2", "Rules of cleaning, on the training data") +
      html_table(html_row("th", {"rule", "action", "rows", "share", "dropped", "counts"}, right), body, "rules") +
      findings_by_source(study);
  std::string kinds;
  for (size_t kind = 0; kind < total.pii.size(); ++kind) {
    if (total.pii[kind] == 0) continue;
    kinds += (kinds.empty() ? "" : ", ") + std::string(pii_name(static_cast<Pii>(kind))) + " " +
             with_commas(total.pii[kind]);
  }
  if (!kinds.empty()) text += html_element("p", "Rows with personal data or secrets, by pattern: " + kinds + ".");
  if (study.similarities.total() > 0) {
    text += html_element(
        "div",
        html_element("div", svg_histogram(study.similarities, "duplicates and contamination by similarity", true),
                     "box"),
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
    return html_element(
        "div", inside + html_element("p", "Its text is not shown: it may hold personal data or secrets.", "dim"),
        "box");
  }
  const auto text = study.texts.find({validation, row});
  if (text != study.texts.end() && !(text->second.prompt.empty() && text->second.answer.empty())) {
    if (!text->second.prompt.empty()) inside += html_element("pre", html_excerpt(text->second.prompt, kCharacters));
    inside += html_element("pre", html_excerpt(text->second.answer, kCharacters),
                           text->second.prompt.empty() ? "" : "answer");
  }
  return html_element("div", inside, "box");
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
      boxes += html_element("p", html_escaped(finding.detail), "dim");
      std::string pair = row_box(study, secret, finding.validation, finding.row, finding.where);
      if (finding.other >= 0) {
        pair += row_box(study, secret, rule == Rule::kContamination, finding.other, finding.other_where);
      }
      boxes += html_element("div", pair, "pair") + "\n";
    }
    if (shown == 0) continue;
    text += "<details" + std::string(text.empty() ? " open=\"open\"" : "") + "><summary><b><code>" + info(rule).key +
            "</code></b> rows that " + info(rule).description + "</summary>" + boxes + "</details>\n";
  }
  return text.empty() ? "" : html_element("h2", "Examples") + text;
}

}  // namespace

std::string data_page(const DataStudy& study, const std::string& title) {
  const std::string body =
      html_element("h1", html_escaped(title)) +
      html_element("p",
                   "Tokenised by <code>" + html_escaped(study.recipe.model.path) + "</code>, at most " +
                       with_commas(study.recipe.training.max_length) + " tokens a sample.",
                   "lead") +
      cards(study) + sources(study) + shares(study) + rules(study) + findings(study) + charts(study);
  return html_document(title, body);
}

}  // namespace lora
