#include "lora/report/page.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "lora/report/chart.h"
#include "lora/report/comparison.h"
#include "lora/terminal/html.h"
#include "lora/terminal/page.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

constexpr const char* kRecordBegin = "<script type=\"application/json\" id=\"record\">";
constexpr size_t kExcerpt = 1200;  // characters of a row or an answer

// What is drawn, in this order. `held_out` is the same measure on the validation data.
struct ChartOf {
  const char* title;
  std::vector<const char*> keys;  // of them the first that a run has
  std::vector<const char*> held_out = {};
  ChartUnit unit = ChartUnit::kNumber;
};

const std::vector<ChartOf>& charts_of_runs() {
  static const std::vector<ChartOf> charts = {
      {"Loss", {"loss"}, {"eval_loss"}},
      {"Accuracy",
       {"rewards/accuracies", "accuracy"},
       {"eval_rewards/accuracies", "eval_accuracy"},
       ChartUnit::kPercent},
      {"Margin between chosen and rejected", {"rewards/margins", "margin"}, {"eval_rewards/margins", "eval_margin"}},
      {"Macro-F1", {}, {"eval_macro_f1"}},
      {"Learning rate", {"lr"}},
      {"Gradient norm, before clipping", {"grad_norm"}},
      {"Tokens a second", {"tokens_per_second"}},
      {"Memory at the peak", {"peak_memory_bytes"}, {}, ChartUnit::kBytes},
      {"Share of the machine's FLOP/s", {"mfu"}, {}, ChartUnit::kPercent},
  };
  return charts;
}

// Keys of metrics.jsonl that no chart is made of: counts, and what other charts say.
const std::set<std::string>& keys_without_chart() {
  static const std::set<std::string> keys = {"epoch",       "tokens",           "supervised_tokens", "best_step",
                                             "exact_match", "exact_match_rows", "eval_perplexity"};
  return keys;
}

std::string number(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g", value);
  return buffer;
}

// A name or a value that may go on in the next line behind its points, slashes and underscores, and not within a word or
// a number.
std::string html_breakable(const std::string& text) {
  std::string out;
  const std::string escaped = html_escaped(text);
  for (size_t i = 0; i < escaped.size(); ++i) {
    const char c = escaped[i], next = i + 1 < escaped.size() ? escaped[i + 1] : ' ';
    const bool is_joint = c == '/' || c == '_' || (c == '.' && std::isalpha(static_cast<unsigned char>(next)));
    out += c;
    if (is_joint) out += "<wbr/>";
  }
  return out;
}

const Curve* first_of(const Curves& curves, const std::vector<const char*>& keys) {
  for (const char* key : keys) {
    if (const Curve* curve = curves.find(key)) return curve;
  }
  return nullptr;
}

// Lines of `keys` and of the same on validation data, a colour a run; of one run the two differ in colour, too.
std::string chart(const ReportedRuns& runs, const std::string& title, const std::vector<const char*>& keys,
                  const std::vector<const char*>& held_out, ChartUnit unit) {
  std::vector<ChartLine> lines;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string name = runs.size() == 1 ? "" : runs[i]->record.name + ", ";
    const int colour = static_cast<int>(i % 8), beside = runs.size() == 1 ? 1 : colour;
    if (const Curve* curve = first_of(runs[i]->curves, keys))
      lines.push_back({name + "training", curve, colour, false});
    if (const Curve* curve = first_of(runs[i]->curves, held_out)) {
      lines.push_back({name + "validation", curve, beside, true});
    }
  }
  return lines.empty() ? "" : html_element("div", svg_chart(title, lines, unit), "box") + "\n";
}

std::string all_charts(const ReportedRuns& runs) {
  std::set<std::string> drawn = keys_without_chart();
  std::string text;
  for (const ChartOf& one : charts_of_runs()) {
    text += chart(runs, one.title, one.keys, one.held_out, one.unit);
    drawn.insert(one.keys.begin(), one.keys.end());
    drawn.insert(one.held_out.begin(), one.held_out.end());
  }
  // What a method or an objective tells besides.
  std::set<std::string> others;
  for (const ReportedRun* run : runs) {
    for (const auto& [key, curve] : run->curves.all()) {
      const std::string plain = key.starts_with("eval_") ? key.substr(5) : key;
      if (!curve.empty() && !drawn.contains(key)) others.insert(plain);
    }
  }
  for (const std::string& key : others) {
    text += chart(runs, key, {key.c_str()}, {("eval_" + key).c_str()}, ChartUnit::kNumber);
  }
  return text.empty() ? html_element("p", "There is no step yet.", "dim")
                      : html_element("div", text, "charts") +
                            html_element("p",
                                         "By optimizer step. A thin line is each value, a bold one their moving "
                                         "mean; a band is from the lowest to the highest of several steps.",
                                         "dim");
}

std::string table_of(const ReportTable& table) {
  std::string body;
  const auto row_of = [&](const char* cell, const std::vector<std::string>& cells) {
    std::vector<std::string> escaped;
    for (const std::string& one : cells) escaped.push_back(html_breakable(one));
    return html_row(cell, escaped, table.right);
  };
  for (size_t i = 1; i < table.rows.size(); ++i) body += row_of("td", table.rows[i]);
  const bool words = std::ranges::count(table.right, true) == 0;
  return html_element("h3", html_escaped(table.title)) +
         html_table(row_of("th", table.rows.empty() ? std::vector<std::string>{} : table.rows.front()), body,
                    words ? "words" : "");
}

std::string pairs_table(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string body;
  for (const auto& [key, value] : pairs) body += html_row("td", {html_breakable(key), html_breakable(value)});
  return html_table("", body, "keys");
}

std::string samples_of(const ReportedRun& run) {
  const std::string exact = exact_match(run);
  if (run.record.samples.empty() && exact.empty()) return "";
  std::string text = html_element("h2", "Answers to held-out rows");
  if (!exact.empty()) text += html_element("p", "Equal to the expected answer: " + exact + ".");
  for (const ReportSample& sample : run.record.samples) {
    const auto part = [](const char* title, const std::string& words) {
      if (words.empty()) return std::string();
      return html_element("div",
                          html_element("span", title, "dim") + html_element("pre", html_excerpt(words, kExcerpt)));
    };
    text += html_element("div",
                         part("prompt", sample.prompt) + part("expected", sample.expected) +
                             part("before training", sample.before) + part("after training", sample.after),
                         "box sample") +
            "\n";
  }
  return text;
}

// Of up to 30 labels every pair; of more the pairs that were confused most.
std::string confusion_of(const RunRecord& record) {
  if (record.confusion.empty()) return "";
  constexpr size_t kMostShownWhole = 30;
  std::map<std::pair<int64_t, int64_t>, int64_t> counts;
  std::vector<int64_t> samples(record.labels.size(), 0);
  for (const auto& [label, predicted, count] : record.confusion) {
    counts[{label, predicted}] += count;
    samples[static_cast<size_t>(label)] += count;
  }
  std::string text = html_element("h2", "Labels and what is predicted, on the validation data");
  if (record.labels.size() > kMostShownWhole) {
    std::vector<std::array<int64_t, 3>> wrong;
    for (const auto& one : record.confusion) {
      if (one[0] != one[1]) wrong.push_back(one);
    }
    std::ranges::stable_sort(wrong, std::ranges::greater{}, [](const auto& one) { return one[2]; });
    wrong.resize(std::min<size_t>(wrong.size(), 30));
    const std::vector<bool> right = {false, false, true, true};
    std::string body;
    for (const auto& [label, predicted, count] : wrong) {
      body += html_row("td",
                       {html_escaped(record.labels[static_cast<size_t>(label)]),
                        html_escaped(record.labels[static_cast<size_t>(predicted)]), with_commas(count),
                        with_commas(samples[static_cast<size_t>(label)])},
                       right);
    }
    return text + html_table(html_row("th", {"label", "taken for", "samples", "of"}, right), body);
  }
  std::vector<std::string> head = {"label ↓ predicted →"};
  for (const std::string& label : record.labels) head.push_back(html_escaped(label));
  head.insert(head.end(), {"samples", "recall"});
  std::string body;
  for (size_t label = 0; label < record.labels.size(); ++label) {
    std::string row = html_element("td", html_escaped(record.labels[label]));
    const auto of = static_cast<double>(std::max<int64_t>(1, samples[label]));
    double hits = 0;
    for (size_t predicted = 0; predicted < record.labels.size(); ++predicted) {
      const auto found = counts.find({static_cast<int64_t>(label), static_cast<int64_t>(predicted)});
      const int64_t count = found == counts.end() ? 0 : found->second;
      const double share = static_cast<double>(count) / of;
      if (label == predicted) hits = share;
      row += "<td class=\"" + std::string(label == predicted ? "hit" : "miss") +
             "\" style=\"--share:" + fixed(60 * share, 0) + "\">" + (count == 0 ? "·" : with_commas(count)) + "</td>";
    }
    body +=
        html_element("tr", row + html_element("td", with_commas(samples[label])) + html_element("td", percent(hits)));
  }
  return text + html_table(html_row("th", head), body, "confusion");
}

std::string state_line(const ReportedRun& run) {
  const RunRecord& record = run.record;
  std::string text = record.state + ", step " + with_commas(run.curves.last_step());
  if (record.total_steps > 0) text += " of " + with_commas(record.total_steps);
  if (!record.updated.empty())
    text += "; written " + record.updated + (record.state == "training" ? "; reload for more" : "");
  return text;
}

std::string cards_of(const ReportedRun& run) {
  std::vector<std::pair<std::string, std::string>> cards;
  const auto add = [&](const char* key, const std::string& label, const auto& text) {
    if (const Curve* curve = run.curves.find(key)) cards.emplace_back(text(*curve), label);
  };
  const auto last = [](const Curve& curve) { return number(curve.last()); };
  add("loss", "loss", last);
  add("eval_loss", "validation loss", last);
  add("eval_loss", "lowest of them", [](const Curve& curve) {
    return number(curve.low()) + "<br/>" +
           html_element("span", "step " + with_commas(std::llround(curve.low_step())), "dim");
  });
  add("eval_accuracy", "validation accuracy", [](const Curve& curve) { return percent(curve.last()); });
  add("epoch", "epochs", [](const Curve& curve) { return fixed(curve.last(), 2); });
  add("tokens_per_second", "tokens a second",
      [](const Curve& curve) { return with_commas(std::llround(curve.last())); });
  add("peak_memory_bytes", "memory", [](const Curve& curve) { return as_bytes(std::llround(curve.high())); });
  return cards.empty() ? "" : html_cards(cards);
}

std::string findings_of(const ReportedRun& run) {
  std::vector<std::string> findings = run.record.findings;
  for (const auto& [key, curve] : run.curves.all()) {
    if (curve.not_finite() > 0) {
      findings.push_back("'" + key + "' was not finite " + with_commas(curve.not_finite()) +
                         (curve.not_finite() == 1 ? " time" : " times"));
    }
  }
  std::string list;
  for (const std::string& finding : findings) list += html_element("li", html_escaped(finding));
  return list.empty() ? "" : html_element("h2", "Worth a look") + html_element("ul", list, "box");
}

// What the charts do not say.
std::string details(const ReportedRun& run) {
  const RunRecord& record = run.record;
  std::string text = findings_of(run) + confusion_of(record);
  if (!record.facts.empty()) text += html_element("h2", "The run") + pairs_table(record.facts);
  if (!record.tables.empty()) text += html_element("h2", "Adapter and data");
  for (const ReportTable& table : record.tables) text += table_of(table);
  text += samples_of(run);
  if (!record.recipe.empty()) {
    text += "<details><summary><b>Recipe</b>, every key</summary>" + pairs_table(record.recipe) + "</details>";
  }
  return text;
}

// A run has the colour of its curves.
std::string coloured_mark(size_t run) {
  return "<svg viewBox=\"0 0 10 10\" width=\"10\" height=\"10\" aria-hidden=\"true\"><circle class=\"k" +
         std::to_string(run % 8) + "\" cx=\"5\" cy=\"5\" r=\"4\"/></svg> ";
}

std::string comparison(const ReportedRuns& runs) {
  const TextTable compared = compared_runs(runs), keys = differing_keys(runs);
  std::string body;
  for (size_t i = 1; i < compared.rows.size(); ++i) {
    std::vector<std::string> cells;
    for (size_t column = 0; column < compared.rows[i].size(); ++column) {
      const std::string cell = html_breakable(compared.rows[i][column]);
      cells.push_back(is_best(compared, i, column)
                          ? html_element("span", "best", "tag good") + " " + html_element("b", cell, "good")
                          : cell);
    }
    cells[0] = coloured_mark(i - 1) + cells[0];
    body += html_row("td", cells, compared.right);
  }
  std::string text = html_table(html_row("th", compared.rows[0], compared.right), body);
  if (keys.rows.empty()) return text;
  std::string head;
  body.clear();
  for (const std::vector<std::string>& row : keys.rows) {
    std::vector<std::string> cells;
    for (const std::string& cell : row) cells.push_back(html_breakable(cell));
    if (head.empty()) {
      head = html_row("th", cells);
    } else {
      cells[0] = html_element("code", cells[0]);
      body += html_row("td", cells);
    }
  }
  return text + html_element("h2", "What their recipes differ in") + html_table(head, body, "keys");
}

}  // namespace

std::string report_page(const ReportedRuns& runs) {
  if (runs.size() == 1) {
    const ReportedRun& run = *runs.front();
    return html_document(run.record.name, html_element("h1", html_breakable(run.record.name)) +
                                              html_element("p", html_escaped(state_line(run)), "lead") + cards_of(run) +
                                              html_element("h2", "Curves") + all_charts(runs) + details(run) + "\n" +
                                              kRecordBegin + record_text(run.record) + "</script>\n");
  }
  std::string title = with_commas(static_cast<int64_t>(runs.size())) + " runs", text;
  for (const ReportedRun* run : runs) {
    text += html_element("h2", html_breakable(run->record.name)) +
            html_element("p", html_escaped(state_line(*run)), "lead") + cards_of(*run) + details(*run);
  }
  return html_document(
      title, html_element("h1", title) + comparison(runs) + html_element("h2", "Curves") + all_charts(runs) + text);
}

std::string record_in(const std::string& page) {
  const size_t begin = page.find(kRecordBegin);
  if (begin == std::string::npos) return "";
  const size_t from = begin + std::string(kRecordBegin).size(), end = page.find("</script>", from);
  return end == std::string::npos ? "" : page.substr(from, end - from);
}

}  // namespace lora
