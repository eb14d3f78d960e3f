#include "lora/app/data/data_report.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "lora/terminal/table.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

struct Column {
  const char* title;
  int64_t (*value)(const SourcePart& source);
  bool always;
};

constexpr std::array<Column, 10> kColumns = {{
    {"rows", [](const SourcePart& s) { return s.counts.rows; }, true},
    {"passed over", [](const SourcePart& s) { return s.counts.unreadable; }, false},
    {"cleaned out", [](const SourcePart& s) { return s.counts.filtered; }, false},
    {"too long", [](const SourcePart& s) { return s.counts.too_long; }, false},
    {"nothing trained", [](const SourcePart& s) { return s.counts.untrained; }, false},
    {"cut", [](const SourcePart& s) { return s.counts.cut; }, false},
    {"split", [](const SourcePart& s) { return s.counts.split; }, false},
    {"samples", [](const SourcePart& s) { return s.counts.samples; }, true},
    {"tokens", [](const SourcePart& s) { return s.counts.tokens; }, true},
    {"trained", [](const SourcePart& s) { return s.counts.supervised; }, true},
}};

// Names that every row has come without a number.
void add_named_fact(Facts& facts, const std::string& what, const SourcePart& source,
                    const std::vector<NamedRows>& named, const std::string& hint = "") {
  if (named.empty()) return;
  std::string text;
  for (const NamedRows& one : named) {
    text += (text.empty() ? "'" : ", '") + one_line(one.name, 60) + "'";
    if (one.rows < source.counts.rows)
      text += " (in " + with_commas(one.rows) + " of " + with_commas(source.counts.rows) + " rows)";
  }
  if (named.size() == kMostNamed) text += " and perhaps others";
  facts.emplace_back(what, source.path + ": " + text + hint);
}

}  // namespace

Facts lost_facts(const std::string& path, const SourceCounts& counts) {
  std::string lost;
  const auto add = [&](int64_t count, const std::string& part, const std::string& of) {
    if (count == 0) return;
    lost += (lost.empty() ? "" : ", ") + part + " of " + with_commas(count) + " " + of + (count == 1 ? "" : "s");
  };
  add(counts.lost_tools, "the tools", "row");
  add(counts.lost_calls, "the tool calls", "message");
  add(counts.lost_content, "the content", "message");
  add(counts.lost_reasoning, "the reasoning", "trained answer");
  Facts facts;
  if (!lost.empty()) facts.emplace_back("Lost", path + ": the chat template writes nothing of " + lost);
  if (counts.only_end > 0) {
    facts.emplace_back("Only end",
                       path + ": of " + with_commas(counts.only_end) + (counts.only_end == 1 ? " answer" : " answers") +
                           " the end alone is trained; the answer is empty, or its first token begins in the prompt");
  }
  if (counts.open_answers > 0) {
    const bool one = counts.open_answers == 1;
    facts.emplace_back("No end", path + ": " + with_commas(counts.open_answers) +
                                     (one ? " trained answer has" : " trained answers have") +
                                     " no text that ends the turn, before other messages");
  }
  return facts;
}

TextTable sources_rows(const NamedDatasets& sets) {
  std::vector<Column> columns;
  for (const Column& column : kColumns) {
    const bool any = std::ranges::any_of(sets, [&](const auto& set) {
      return std::ranges::any_of(set.second->sources(), [&](const auto& source) { return column.value(source) != 0; });
    });
    if (column.always || any) columns.push_back(column);
  }
  std::vector<std::vector<std::string>> rows(1, {"data", "source", "format"});
  std::vector<bool> right(3, false);
  for (const Column& column : columns) {
    rows[0].emplace_back(column.title);
    right.push_back(true);
  }
  for (const auto& [name, set] : sets) {
    for (const SourcePart& source : set->sources()) {
      std::vector<std::string>& row = rows.emplace_back();
      row = {name, one_line(source.path, 60), source.format};
      for (const Column& column : columns) row.push_back(with_commas(column.value(source)));
    }
  }
  return {std::move(rows), std::move(right)};
}

std::string sources_table(const NamedDatasets& sets) { return table(sources_rows(sets)); }

Facts sources_notes(const NamedDatasets& sets) {
  Facts facts;
  for (const auto& [name, set] : sets) {
    for (const SourcePart& source : set->sources()) {
      if (!source.ground.empty()) {
        facts.emplace_back("Format", source.path + ": " + source.format + ", " + source.ground);
      }
    }
    for (const SourcePart& source : set->sources()) {
      add_named_fact(facts, "Not read", source, source.unread);
      add_named_fact(facts, "Spelled out", source, source.spelled,
                     ": special tokens that are text here; data.allow_special_tokens: true makes them tokens");
      std::ranges::move(lost_facts(source.path, source.counts), std::back_inserter(facts));
    }
    const std::vector<std::string>& bad = set->index().bad_rows;
    for (size_t i = 0; i < bad.size(); ++i) facts.emplace_back(i == 0 ? "Passed over" : "", one_line(bad[i], 300));
    if (!set->cache.empty()) facts.emplace_back("Cache", name + ": " + set->cache);
  }
  return facts;
}

}  // namespace lora
