#include "lora/app/data/data_report.h"

#include <algorithm>
#include <array>

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
std::string named_line(const std::string& what, const SourcePart& source, const std::vector<NamedRows>& named,
                       const std::string& hint = "") {
  if (named.empty()) return "";
  std::string text;
  for (const NamedRows& one : named) {
    text += (text.empty() ? "'" : ", '") + one_line(one.name, 60) + "'";
    if (one.rows < source.counts.rows)
      text += " (in " + with_commas(one.rows) + " of " + with_commas(source.counts.rows) + " rows)";
  }
  if (named.size() == kMostNamed) text += " and perhaps others";
  return what + source.path + ": " + text + hint + "\n";
}

}  // namespace

std::string lost_lines(const std::string& path, const SourceCounts& counts) {
  std::string lost;
  const auto add = [&](int64_t count, const std::string& part, const std::string& of) {
    if (count == 0) return;
    lost += (lost.empty() ? "" : ", ") + part + " of " + with_commas(count) + " " + of + (count == 1 ? "" : "s");
  };
  add(counts.lost_tools, "the tools", "row");
  add(counts.lost_calls, "the tool calls", "message");
  add(counts.lost_content, "the content", "message");
  add(counts.lost_reasoning, "the reasoning", "trained answer");
  std::string text;
  if (!lost.empty()) text += "Lost        " + path + ": the chat template writes nothing of " + lost + "\n";
  if (counts.only_end > 0) {
    text += "Only end    " + path + ": of " + with_commas(counts.only_end) +
            (counts.only_end == 1 ? " answer" : " answers") +
            " the end alone is trained; the answer is empty, or its first token begins in the prompt\n";
  }
  if (counts.open_answers > 0) {
    const bool one = counts.open_answers == 1;
    text += "No end      " + path + ": " + with_commas(counts.open_answers) +
            (one ? " trained answer has" : " trained answers have") +
            " no text that ends the turn, before other messages\n";
  }
  return text;
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

std::string sources_notes(const NamedDatasets& sets) {
  std::string text;
  for (const auto& [name, set] : sets) {
    for (const SourcePart& source : set->sources()) {
      if (!source.ground.empty())
        text += "Format      " + source.path + ": " + source.format + ", " + source.ground + "\n";
    }
    for (const SourcePart& source : set->sources()) {
      text += named_line("Not read    ", source, source.unread);
      text += named_line("Spelled out ", source, source.spelled,
                         ": special tokens that are text here; data.allow_special_tokens: true makes them tokens");
      text += lost_lines(source.path, source.counts);
    }
    const std::vector<std::string>& bad = set->index().bad_rows;
    for (size_t i = 0; i < bad.size(); ++i)
      text += (i == 0 ? "Passed over " : "            ") + one_line(bad[i], 300) + "\n";
    if (!set->cache.empty()) text += "Cache       " + name + ": " + set->cache + "\n";
  }
  return text;
}

}  // namespace lora
