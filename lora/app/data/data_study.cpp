#include "lora/app/data/data_study.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "lora/app/data/cleaning_report.h"
#include "lora/app/data/data_report.h"
#include "lora/app/data/mixing_report.h"
#include "lora/app/source/trained_model.h"
#include "lora/data/batch.h"
#include "lora/data/examples.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "lora/training/passes.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

constexpr int kBins = 24;

std::string joined_names(const std::vector<NamedRows>& named) {
  std::vector<std::string> names;
  for (const NamedRows& one : named) names.push_back(one.name);
  return joined(names);
}

SourceStudy study_source(const Dataset& dataset, const SourcePart& part, const SourceFindings& findings,
                         bool validation) {
  SourceStudy study;
  study.path = part.path;
  study.format = part.format;
  study.validation = validation;
  study.counts = part.counts;
  study.unread = joined_names(part.unread);
  study.spelled = joined_names(part.spelled);
  study.findings = findings;
  std::vector<int64_t> lengths;
  std::vector<double> shares;
  for (int64_t i = part.begin; i < part.end; ++i) {
    const SampleView sample = dataset[i];
    lengths.push_back(sample.length());
    shares.push_back(static_cast<double>(std::ranges::count(sample.supervised, uint8_t{1})) /
                     static_cast<double>(sample.length()));
  }
  study.lengths = histogram(lengths, kBins);
  study.supervised = share_histogram(shares, 20);
  if (lengths.empty()) return study;
  std::ranges::sort(lengths);
  study.median = lengths[lengths.size() / 2];
  study.p95 = lengths[lengths.size() * 95 / 100];
  study.longest = lengths.back();
  return study;
}

void study_sources(DataStudy& study, const Dataset& dataset, const std::vector<SourceFindings>& findings,
                   bool validation) {
  for (size_t i = 0; i < dataset.sources().size(); ++i) {
    study.sources.push_back(
        study_source(dataset, dataset.sources()[i], i < findings.size() ? findings[i] : SourceFindings{}, validation));
  }
}

// Parts of messages, and rows' tools, of which the chat template writes nothing.
int64_t lost_of(const SourceCounts& counts) {
  return counts.lost_tools + counts.lost_calls + counts.lost_content + counts.lost_reasoning;
}

// Reads the sources again to get the texts of the rows to show.
void collect_texts(DataStudy& study) {
  std::map<std::pair<Rule, bool>, size_t> shown;
  for (const Finding& finding : study.cleaning.findings) {
    if (shown[{finding.rule, finding.validation}]++ >= kShownFindings) continue;
    study.texts[{finding.validation, finding.row}];
    if (finding.other >= 0) study.texts[{finding.rule == Rule::kContamination, finding.other}];
  }
  for (const bool validation : {false, true}) {
    int64_t row = 0;
    const auto& sources = validation ? study.recipe.data.validation : study.recipe.data.train;
    const bool chosen =
        std::ranges::any_of(study.texts, [&](const auto& text) { return text.first.first == validation; });
    if (!chosen || std::ranges::any_of(sources, [](const DataSource& source) { return source.path == "-"; })) continue;
    BadRows bad(row_errors(study.recipe.data));
    ExampleReader reader(sources, bad, study.recipe.data.trains);
    ExampleBlock block;
    while (reader.next(block)) {
      for (ExampleRow& one : block.rows) {
        const auto found = study.texts.find({validation, row++});
        if (found == study.texts.end()) continue;
        Example& example = one.example;
        found->second = {std::move(example.prompt), example.label ? *example.label : std::move(example.completion)};
      }
    }
  }
}

}  // namespace

StudiedData study_data(const Recipe& recipe, const Tokenizer& tokenizer, Busy& busy) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto start = Clock::now();
  Recipe whole = recipe;
  whole.data.streaming = false;  // the study reads all of the data
  const Labels labels = choose_labels(recipe);
  RecipeData data = load_recipe_data(whole, tokenizer, labels, {}, shown_by(busy), SIZE_MAX);
  busy.next("counting");
  StudiedData studied;
  studied.labels = labels.names();
  DataStudy& study = studied.study;
  const CleaningSeconds& cleaning = study.seconds.cleaning = data.cleaning_seconds;
  study.seconds.encoding = seconds_since(start) - cleaning.texts - cleaning.duplicates;
  const auto loaded = Clock::now();
  study.recipe = recipe;
  study.recipe.data.train = data.config.train;
  study.recipe.data.validation = data.config.validation;
  study.cleaning = std::move(data.cleaning);
  study_sources(study, data.train, study.cleaning.train, false);
  study_sources(study, data.validation, study.cleaning.validation, true);
  study.shares = data.mixture.shares(0);
  study.mixed = !data.mixture.plain();
  const std::vector<int64_t> lengths = data.train.lengths(), drawn = data.mixture.draw(0);
  const auto [packing, max_length] = row_shape(data.train, recipe.training);
  const EpochPlan plan = plan_epoch(lengths, packing, max_length, recipe.data.shuffle, recipe.training.seed, 0, drawn);
  int64_t tokens = 0;
  for (const int64_t sample : plan.rows(0, plan.size())) tokens += lengths[static_cast<size_t>(sample)];
  study.epoch_rows = plan.size();
  study.fill = ratio(tokens, plan.size() * max_length);
  std::vector<double> similarities;
  for (const Finding& finding : study.cleaning.findings) {
    if (finding.rule == Rule::kNearDuplicates || finding.rule == Rule::kContamination) {
      similarities.push_back(finding.similarity);
    }
  }
  study.similarities = share_histogram(similarities, 40);
  collect_texts(study);
  study.seconds.figures = seconds_since(loaded);
  studied.train = std::move(data.train);
  studied.validation = std::move(data.validation);
  return studied;
}

TextTable studied_sources(const DataStudy& study) {
  using S = const SourceStudy&;
  static constexpr struct {
    const char* title;
    std::string (*value)(S source);
    bool is_always_there;
    bool is_text = false;  // not a number
  } kColumns[] = {
      {"rows", [](S s) { return with_commas(s.counts.rows); }, true},
      {"unreadable", [](S s) { return with_commas(s.counts.unreadable); }, false},
      {"dropped", [](S s) { return with_commas(s.counts.filtered); }, true},
      {"too long", [](S s) { return with_commas(s.counts.too_long); }, false},
      {"untrained", [](S s) { return with_commas(s.counts.untrained); }, false},
      {"cut", [](S s) { return with_commas(s.counts.cut); }, false},
      {"split", [](S s) { return with_commas(s.counts.split); }, false},
      {"lost", [](S s) { return with_commas(lost_of(s.counts)); }, false},
      {"no end", [](S s) { return with_commas(s.counts.open_answers); }, false},
      {"samples", [](S s) { return with_commas(s.counts.samples); }, true},
      {"tokens", [](S s) { return with_commas(s.counts.tokens); }, true},
      {"trained", [](S s) { return percent(ratio(s.counts.supervised, s.counts.tokens)); }, true},
      {"median", [](S s) { return with_commas(s.median); }, true},
      {"95 %", [](S s) { return with_commas(s.p95); }, true},
      {"longest", [](S s) { return with_commas(s.longest); }, true},
      {"not read", [](S s) { return s.unread.empty() ? "0" : one_line(s.unread, 60); }, false, true},
      {"spelled out", [](S s) { return s.spelled.empty() ? "0" : one_line(s.spelled, 60); }, false, true},
  };
  TextTable content;
  content.rows = {{"source"}};
  content.right = {false};
  for (const SourceStudy& source : study.sources) {
    content.rows.push_back({source.path + (source.validation ? " (validation)" : "")});
  }
  for (const auto& column : kColumns) {
    const bool is_there = std::ranges::any_of(study.sources, [&](S source) { return column.value(source) != "0"; });
    if (!column.is_always_there && !is_there) continue;
    content.rows[0].emplace_back(column.title);
    content.right.push_back(!column.is_text);
    for (size_t i = 0; i < study.sources.size(); ++i) content.rows[i + 1].push_back(column.value(study.sources[i]));
  }
  return content;
}

std::string data_report(const DataStudy& study) {
  std::string text = table(studied_sources(study));
  for (const SourceStudy& source : study.sources) text += facts_text(lost_facts(source.path, source.counts));
  text += "\n" + mixing_table(study.shares, study.recipe.data.mixing);
  text += indented(
      with_commas(study.epoch_rows) + " sequences an epoch, " + percent(study.fill) + " of their room filled", 2);
  text += "\n" + rules_table(study.cleaning, study.recipe.data.cleaning, kShownFindings);
  for (const SourceStudy& source : study.sources) {
    if (source.validation || source.counts.samples == 0) continue;
    text += "\n" + indented("tokens a sample, " + source.path, 2) + bars(source.lengths, 50);
  }
  return text;
}

std::string findings_jsonl(const CleaningReport& report) {
  std::string lines;
  for (const Finding& finding : report.findings) {
    nlohmann::ordered_json line = {{"rule", info(finding.rule).key},
                                   {"data", finding.validation ? "validation" : "train"},
                                   {"row", finding.row},
                                   {"where", finding.where},
                                   {"detail", finding.detail}};
    if (finding.other >= 0) {
      line["other_row"] = finding.other;
      line["other_where"] = finding.other_where;
      line["similarity"] = finding.similarity;
    }
    lines += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  return lines;
}

}  // namespace lora
