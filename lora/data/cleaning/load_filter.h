#pragma once
// Connects cleaning to the loading of data.

#include <optional>

#include "lora/data/cleaning/cleaner.h"
#include "lora/data/load.h"

namespace lora {

// The part of the prompt that the row's author wrote. It excludes the template's words, which would make all rows
// similar. A view into the example.
std::string_view own_words(const Example& example);

// The filters for load_dataset with the data of a recipe. Use them in this order; the object must outlive them. All
// validation rows are kept. If the validation data comes from a cache, its filter is not called, and the training
// filter reads the validation files itself. A repeated load cleans from the start.
class CleaningFilters {
 public:
  // `examples`: see Cleaner.
  CleaningFilters(const DataConfig& data, size_t examples);
  CleaningFilters(const CleaningFilters&) = delete;
  CleaningFilters& operator=(const CleaningFilters&) = delete;

  RowFilter validation();
  RowFilter train();
  // Replaces train() if the training data is streamed, possibly several times.
  RowFilter stream();
  const CleaningReport& report() const { return cleaner_.report(); }
  const CleaningSeconds& seconds() const { return cleaner_.seconds(); }

 private:
  void read_validation();
  void clean(std::span<ExampleRow> rows);

  DataConfig data_;
  bool validated_ = false;
  size_t examples_;
  Cleaner cleaner_;
  std::optional<std::string> first_validation_, first_train_;  // location of the first row
};

}  // namespace lora
