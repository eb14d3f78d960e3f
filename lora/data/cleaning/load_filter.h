#pragma once
// Cleaning on the way from files to samples.

#include <optional>

#include "lora/data/cleaning/cleaner.h"
#include "lora/data/load.h"

namespace lora {

// What the author of a row wrote of its prompt: without the words of a template, which would make all rows look alike.
// A view of the example's.
std::string_view own_words(const Example& example);

// The filters of a recipe's data for load_dataset, which have to be used in this order; it has to outlive them. Rows of
// the validation data stay, all of them. Where that comes from a cache, its filter is not called, and the training
// data's reads the files itself. A load that is begun anew is cleaned anew.
class CleaningFilters {
 public:
  // `labelled`: rows have labels. `examples`: see Cleaner.
  CleaningFilters(const DataConfig& data, bool labelled, size_t examples);
  CleaningFilters(const CleaningFilters&) = delete;
  CleaningFilters& operator=(const CleaningFilters&) = delete;

  RowFilter validation();
  RowFilter train();
  // In place of train(), where the training data is read in passing, several times perhaps.
  RowFilter stream();
  const CleaningReport& report() const { return cleaner_.report(); }
  const CleaningSeconds& seconds() const { return cleaner_.seconds(); }

 private:
  void read_validation();
  void clean(std::span<ExampleRow> rows);

  DataConfig data_;
  bool labelled_, validated_ = false;
  size_t examples_;
  Cleaner cleaner_;
  std::optional<std::string> first_validation_, first_train_;  // where the first row is
};

}  // namespace lora
