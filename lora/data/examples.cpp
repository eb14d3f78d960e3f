#include "lora/data/examples.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "lora/data/recognise.h"
#include "lora/data/row_part.h"
#include "models/base/threads.h"

namespace lora {
namespace {

// Limits of a block: enough rows for every thread, few enough that their text needs little memory.
constexpr size_t kBlockRows = 4096, kBlockBytes = size_t{32} << 20;
constexpr size_t kShownErrors = 5;

size_t bytes_of(const RawRow& row) {
  size_t bytes = row.json.size();
  for (const std::string& field : row.fields) bytes += field.size();
  return bytes;
}

void expect_label(const Example& example, bool expected, const std::string& where) {
  if (example.label.has_value() == expected) return;
  throw DataError(where + (expected ? ": a row without a label; expected format classification"
                                    : ": a row with a label; expected text for a language model"));
}

// What a preference objective needs of a row beside its text.
void expect_preference(const Example& example, Trains trains, const std::string& where) {
  if (trains == Trains::kPair && !example.rejected) {
    throw DataError(where + ": a row without 'rejected'; the objective learns from pairs, format preference");
  }
  if (trains == Trains::kMark && !example.rejected && !example.mark) {
    throw DataError(where + ": neither 'label' nor 'kto_tag' is true or false, which objective kto learns from");
  }
}

}  // namespace

void add_named(const std::vector<NamedRows>& more, std::vector<NamedRows>& all) {
  for (const NamedRows& column : more) {
    const auto known = std::ranges::find(all, column.name, &NamedRows::name);
    if (known != all.end()) {
      known->rows += column.rows;
    } else if (all.size() < kMostNamed) {
      all.push_back(column);
    }
  }
}

RowErrors row_errors(const DataConfig& data) { return {data.on_error == OnError::kSkip, data.max_errors}; }

void BadRows::add(const std::string& message) {
  if (!errors_.skip) throw DataError(message);
  ++count_;
  if (first_.size() < kShownErrors) first_.push_back(message);
  if (count_ > errors_.most) {
    throw DataError("more than " + std::to_string(errors_.most) +
                    " rows cannot be used, which is data.max_errors; the last was " + message + "; the first was " +
                    first_.front());
  }
}

ExampleReader::ExampleReader(const std::vector<DataSource>& sources, BadRows& bad, Trains trains)
    : sources_(sources), bad_(bad), trains_(trains) {}

ExampleReader::~ExampleReader() = default;

bool ExampleReader::open_next_file() {
  while (path_ == paths_.size()) {
    if (!opened_.empty()) {
      if (!any_row_) throw DataError(sources_[source_].path + ": holds no rows");
      ++source_;
    }
    if (source_ == sources_.size()) return false;
    opened_.push_back(sources_[source_]);
    if (opened_.back().format != "auto") format_of(opened_.back());  // throws for one that does not exist
    format_ = nullptr;
    grounds_.emplace_back();
    paths_ = matching_files(sources_[source_].path);
    path_ = 0;
    any_row_ = false;
    row_ = 0;
  }
  reader_ = std::make_unique<RowReader>(paths_[path_++], object_is_row(sources_[source_]));
  return true;
}

int64_t ExampleReader::bytes_read() const {
  int64_t bytes = reader_ ? reader_->bytes_read() : 0;
  for (const SourceFile& file : files_) bytes += file.bytes;
  return bytes;
}

bool ExampleReader::next(ExampleBlock& block) {
  block.rows.clear();
  block.unread.clear();
  block.read = block.not_chosen = 0;
  while (block.read == 0) {
    if (!reader_ && !open_next_file()) return false;
    block.source = source_;
    fill(block);
  }
  return true;
}

void ExampleReader::fill(ExampleBlock& block) {
  size_t count = 0, bytes = 0;
  bool more = true;
  while (count < kBlockRows && bytes < kBlockBytes) {
    if (count == raw_.size()) raw_.emplace_back();
    more = reader_->next(raw_[count]);
    if (!more) break;
    bytes += bytes_of(raw_[count++]);
  }
  DataSource& source = opened_.back();
  for (size_t i = 0; i < count && format_ == nullptr; ++i) {
    nlohmann::ordered_json first;
    try {
      first = reader_->parse(raw_[i]);
    } catch (const DataError&) {
      continue;  // reported below, with the errors of all rows
    }
    const Recognised found = format_for(source, first, trains_, reader_->where(raw_[i]));
    format_ = found.format;
    source.format = found.format->name;
    grounds_.back() = found.ground;
  }
  std::vector<uint8_t> used(count, 1);
  for (size_t i = 0; i < count; ++i) used[i] = uses_row(source.part, row_ + static_cast<int64_t>(i)) ? 1 : 0;
  row_ += static_cast<int64_t>(count);
  any_row_ |= count > 0;
  std::vector<ExampleRow> rows(count);
  std::vector<std::string> errors(count);
  std::vector<std::vector<std::string>> unread(count);
  parallel_for(static_cast<int64_t>(count), kRowsAtATime, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      if (used[i] == 0) continue;
      ExampleRow& row = rows[i];
      row.source = source_;
      row.where = reader_->where(raw_[i]);
      try {
        const nlohmann::ordered_json object = reader_->parse(raw_[i]);
        const DataRow columns(source, object, row.where);
        row.keep = learns_preferences(trains_) || is_chosen(*format_, columns);
        row.example = format_->make(columns);
        if (trains_ == Trains::kMark) row.example.mark = row_mark(*format_, columns);
        expect_label(row.example, trains_ == Trains::kLabel, row.where);
        expect_preference(row.example, trains_, row.where);
        unread[i] = columns.unread();
      } catch (const DataError& error) {
        errors[i] = without_component(error);
      }
    }
  });
  for (size_t i = 0; i < count; ++i) {
    if (used[i] == 0) continue;
    for (const std::string& column : unread[i]) add_named({{column, 1}}, block.unread);
    if (!errors[i].empty()) {
      bad_.add(errors[i]);
    } else if (rows[i].keep) {
      block.rows.push_back(std::move(rows[i]));
    } else {
      ++block.not_chosen;
    }
  }
  block.read = std::ranges::count(used, uint8_t{1});
  if (bytes >= kBlockBytes) raw_.clear();  // releases the memory of long rows
  if (more) return;
  files_.push_back(reader_->finish());
  reader_.reset();
}

}  // namespace lora
