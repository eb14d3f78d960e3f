#include "lora/report/comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "lora/terminal/text.h"

namespace lora {
namespace {

constexpr const char* kNothing = "–";

using Run = const ReportedRun&;

struct ComparedColumn {
  const char* title;
  std::string (*text)(Run run);  // empty: it has no value
  bool right = true;
  // The greater the better. Null: no value is better than another.
  std::optional<double> (*worth)(Run run) = nullptr;
};

const Curve* accuracy_of(Run run) {
  const Curve* accuracy = run.curves.find("eval_accuracy");
  return accuracy ? accuracy : run.curves.find("eval_rewards/accuracies");
}

template <typename Text>
std::string text_of(const Curve* curve, const Text& text) {
  return curve && !curve->empty() ? text(*curve) : std::string();
}

std::optional<double> worth_of(const Curve* curve, double (*worth)(const Curve&)) {
  return curve && !curve->empty() ? std::optional(worth(*curve)) : std::nullopt;
}

std::optional<double> share_of_exact_matches(Run run) {
  const Curve *exact = run.curves.find("exact_match"), *rows = run.curves.find("exact_match_rows");
  return exact && rows && rows->last() > 0 ? std::optional(exact->last() / rows->last()) : std::nullopt;
}

const std::array<ComparedColumn, 9> kColumns = {{
    {"run", [](Run run) { return run.record.name; }, false},
    {"state", [](Run run) { return run.record.state; }, false},
    {"steps", [](Run run) { return with_commas(run.curves.last_step()); }},
    {"loss",
     [](Run run) { return text_of(run.curves.find("loss"), [](const Curve& c) { return fixed(c.last(), 4); }); }},
    {"lowest validation loss",
     [](Run run) { return text_of(run.curves.find("eval_loss"), [](const Curve& c) { return fixed(c.low(), 4); }); },
     true, [](Run run) { return worth_of(run.curves.find("eval_loss"), [](const Curve& c) { return -c.low(); }); }},
    {"highest accuracy",
     [](Run run) { return text_of(accuracy_of(run), [](const Curve& c) { return percent(c.high()); }); }, true,
     [](Run run) { return worth_of(accuracy_of(run), [](const Curve& c) { return c.high(); }); }},
    {"exact match", exact_match, false, share_of_exact_matches},
    {"tokens/s",
     [](Run run) {
       return text_of(run.curves.find("tokens_per_second"),
                      [](const Curve& c) { return with_commas(std::llround(c.last())); });
     }},
    {"memory",
     [](Run run) {
       return text_of(run.curves.find("peak_memory_bytes"),
                      [](const Curve& c) { return as_bytes(std::llround(c.high())); });
     }},
}};

// Keys whose values are not the same in all runs, in the order of the recipes.
std::vector<std::string> differing(const ReportedRuns& runs) {
  std::vector<std::string> keys;
  std::map<std::string, std::set<std::string>> values;
  std::map<std::string, size_t> count;
  for (const ReportedRun* run : runs) {
    for (const auto& [key, value] : run->record.recipe) {
      if (values[key].empty()) keys.push_back(key);
      values[key].insert(value);
      ++count[key];
    }
  }
  std::erase_if(keys, [&](const std::string& key) {
    return key == "output_dir" || (values[key].size() == 1 && count[key] == runs.size());
  });
  return keys;
}

bool are_measured_alike(const ReportedRuns& runs) {
  static constexpr std::array<std::string_view, 4> kMeasures = {"training.objective", "training.preference",
                                                                "model.head", "data.validation"};
  return std::ranges::none_of(differing(runs), [](const std::string& key) {
    return std::ranges::any_of(kMeasures, [&](std::string_view measure) { return key.starts_with(measure); });
  });
}

// The runs of the greatest worth; none where fewer than two have one, or all have the same.
std::vector<size_t> best_runs(const ReportedRuns& runs, const ComparedColumn& column) {
  std::vector<size_t> best;
  size_t valued = 0;
  double most = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::optional<double> worth = column.worth(*runs[i]);
    if (!worth) continue;
    if (valued++ == 0 || *worth > most) best.clear();
    if (best.empty()) most = *worth;
    if (*worth == most) best.push_back(i);
  }
  return best.size() < valued ? best : std::vector<size_t>{};
}

}  // namespace

std::string exact_match(const ReportedRun& run) {
  const std::optional<double> share = share_of_exact_matches(run);
  if (!share) return "";
  const std::vector<Curve::Point>& answered = run.curves.find("exact_match")->points();
  if (answered.size() < 2) return percent(*share);
  const double before = answered.front().mean() / run.curves.find("exact_match_rows")->last();
  return percent(before) + " before, " + percent(*share) + " after training";
}

TextTable compared_runs(const ReportedRuns& runs) {
  TextTable compared;
  compared.rows.resize(runs.size() + 1);
  const bool alike = are_measured_alike(runs);
  for (const ComparedColumn& column : kColumns) {
    std::vector<std::string> cells;
    for (const ReportedRun* run : runs) cells.push_back(column.text(*run));
    if (std::ranges::all_of(cells, &std::string::empty)) continue;
    if (alike && column.worth) {
      for (const size_t run : best_runs(runs, column)) compared.best.emplace_back(run + 1, compared.right.size());
    }
    compared.rows[0].emplace_back(column.title);
    for (size_t i = 0; i < cells.size(); ++i) {
      compared.rows[i + 1].push_back(cells[i].empty() ? kNothing : std::move(cells[i]));
    }
    compared.right.push_back(column.right);
  }
  return compared;
}

TextTable differing_keys(const ReportedRuns& runs) {
  TextTable table;
  const std::vector<std::string> keys = differing(runs);
  if (keys.empty()) return table;
  table.rows = {{"key"}};
  for (const ReportedRun* run : runs) table.rows[0].push_back(run->record.name);
  table.right.resize(runs.size() + 1, false);
  for (const std::string& key : keys) {
    std::vector<std::string>& cells = table.rows.emplace_back(1, key);
    for (const ReportedRun* run : runs) {
      const auto found = std::ranges::find(run->record.recipe, key, &std::pair<std::string, std::string>::first);
      cells.push_back(found == run->record.recipe.end() ? kNothing : found->second);
    }
  }
  return table;
}

}  // namespace lora
