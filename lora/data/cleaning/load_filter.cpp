#include "lora/data/cleaning/load_filter.h"

namespace lora {
namespace {

std::vector<CleaningRow> cleaning_rows(std::span<const ExampleRow> rows, Trains trains) {
  std::vector<CleaningRow> seen;
  seen.reserve(rows.size());
  for (const ExampleRow& row : rows) {
    const Example& example = row.example;
    CleaningRow& last = seen.emplace_back();
    last.prompt = own_words(example);
    last.answer = example.label ? std::string_view(*example.label) : std::string_view(example.completion);
    if (example.rejected && trains != Trains::kText) {
      last.rejected = {own_words(*example.rejected), example.rejected->completion};
    }
    if (trains == Trains::kMark) last.mark = example.mark;
    last.source = row.source;
    last.where = row.where;
  }
  return seen;
}

// True if these are the first rows of a load that starts again.
bool begins_again(std::span<const ExampleRow> rows, std::optional<std::string>& first) {
  const ExampleRow& row = rows.front();
  if (first) return row.source == 0 && row.where == *first;
  first = row.where;
  return false;
}

}  // namespace

std::string_view own_words(const Example& example) { return example.user.empty() ? example.prompt : example.user; }

CleaningFilters::CleaningFilters(const DataConfig& data, size_t examples)
    : data_(data), examples_(examples), cleaner_(data.cleaning, examples) {}

RowFilter CleaningFilters::validation() {
  return [this](std::span<ExampleRow> rows) {
    if (rows.empty()) return;
    if (begins_again(rows, first_validation_)) cleaner_ = Cleaner(data_.cleaning, examples_);
    validated_ = true;
    cleaner_.validation(cleaning_rows(rows, data_.trains));
  };
}

void CleaningFilters::read_validation() {
  validated_ = true;
  if (data_.validation.empty()) return;
  BadRows bad(row_errors(data_));
  ExampleReader reader(data_.validation, bad, data_.trains);
  ExampleBlock block;
  while (reader.next(block)) cleaner_.validation(cleaning_rows(block.rows, data_.trains));
}

RowFilter CleaningFilters::train() {
  return [this](std::span<ExampleRow> rows) {
    if (rows.empty()) return;
    if (begins_again(rows, first_train_)) {
      cleaner_ = Cleaner(data_.cleaning, examples_);
      validated_ = false;
    }
    clean(rows);
  };
}

RowFilter CleaningFilters::stream() {
  return [this](std::span<ExampleRow> rows) {
    if (!rows.empty()) clean(rows);
  };
}

void CleaningFilters::clean(std::span<ExampleRow> rows) {
  if (!validated_) read_validation();
  const std::vector<uint8_t> keep = cleaner_.train(cleaning_rows(rows, data_.trains));
  for (size_t i = 0; i < rows.size(); ++i) rows[i].keep = keep[i] != 0;
}

}  // namespace lora
