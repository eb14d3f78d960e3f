#include "lora/app/training/confusion_report.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "lora/terminal/facts.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr int64_t kMostShownWhole = 12;
constexpr size_t kWorstShown = 10;
constexpr size_t kNameWidth = 40;

std::string short_name(const LabelNames& names, int64_t label) {
  return one_line(names[static_cast<size_t>(label)], kNameWidth);
}

std::vector<std::string> scores(const Confusion& confusion, int64_t label) {
  return {with_commas(confusion.samples(label)), fixed(confusion.precision(label), 3),
          fixed(confusion.recall(label), 3), fixed(confusion.f1(label), 3)};
}

std::string scores_table(const Confusion& confusion, const LabelNames& names, const std::vector<int64_t>& labels) {
  Rows rows = {{"label", "samples", "precision", "recall", "F1"}};
  for (const int64_t label : labels) {
    auto& row = rows.emplace_back(std::vector<std::string>{short_name(names, label)});
    for (std::string& score : scores(confusion, label)) row.push_back(std::move(score));
  }
  return table(rows, {false, true, true, true, true});
}

// Columns are numbered, as twelve names side by side would not fit a line.
std::string counts_table(const Confusion& confusion, const LabelNames& names) {
  const int64_t labels = confusion.labels();
  Rows rows = {{"", "label \\ predicted"}};
  std::vector<bool> right = {true, false};
  for (int64_t predicted = 0; predicted < labels; ++predicted) {
    rows[0].push_back(std::to_string(predicted));
    right.push_back(true);
  }
  for (int64_t label = 0; label < labels; ++label) {
    auto& row = rows.emplace_back(std::vector<std::string>{std::to_string(label), short_name(names, label)});
    for (int64_t predicted = 0; predicted < labels; ++predicted) {
      const int64_t count = confusion.count(label, predicted);
      row.push_back(count == 0 ? "·" : with_commas(count));
    }
  }
  return table(rows, right);
}

std::string worst_labels(const Confusion& confusion, const LabelNames& names) {
  std::vector<int64_t> labels;
  for (int64_t label = 0; label < confusion.labels(); ++label) {
    if (confusion.samples(label) + confusion.predictions(label) > 0) labels.push_back(label);
  }
  std::ranges::stable_sort(labels, {}, [&](int64_t label) { return confusion.f1(label); });
  labels.resize(std::min(labels.size(), kWorstShown));
  return "Labels of the lowest F1\n" + scores_table(confusion, names, labels);
}

std::string most_confused(const Confusion& confusion, const LabelNames& names) {
  std::vector<std::pair<std::pair<int64_t, int64_t>, int64_t>> pairs;
  for (const auto& entry : confusion.counts()) {
    if (entry.first.first != entry.first.second) pairs.push_back(entry);
  }
  if (pairs.empty()) return "";
  std::ranges::stable_sort(pairs, std::ranges::greater{}, [](const auto& pair) { return pair.second; });
  pairs.resize(std::min(pairs.size(), kWorstShown));
  Rows rows = {{"label", "taken for", "samples", "of"}};
  for (const auto& [pair, count] : pairs) {
    rows.push_back({short_name(names, pair.first), short_name(names, pair.second), with_commas(count),
                    with_commas(confusion.samples(pair.first))});
  }
  return "\nMost frequent confusions\n" + table(rows, {false, false, true, true});
}

}  // namespace

std::string accuracy_line(const Confusion& confusion) {
  return "accuracy " + fixed(100 * confusion.accuracy(), 1) + " %  macro-F1 " + fixed(confusion.macro_f1(), 4);
}

std::string confusion_report(const Confusion& confusion, const LabelNames& names) {
  std::string text = fact("Validation", accuracy_line(confusion)) + "\n";
  if (confusion.labels() > kMostShownWhole) {
    return text + worst_labels(confusion, names) + most_confused(confusion, names);
  }
  std::vector<int64_t> labels(static_cast<size_t>(confusion.labels()));
  std::iota(labels.begin(), labels.end(), 0);
  return text + counts_table(confusion, names) + "\n" + scores_table(confusion, names, labels);
}

}  // namespace lora
