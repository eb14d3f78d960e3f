#pragma once
// The names a recipe may use, in one place: what is registered elsewhere (a method, a data format, an export) gets its
// line here. A name that is planned is told apart from a misspelt one.

#include <string>
#include <utility>
#include <vector>

namespace lora {

struct Names {
  std::vector<std::string> available;                            // one that ends in _N has a number there
  std::vector<std::string> planned;                              // refused, as not available yet
  std::vector<std::pair<std::string, std::string>> elsewhere{};  // another tool's name -> ours, for hints
};

const Names& known_dtypes();
const Names& known_quantizations();
const Names& known_heads();
const Names& known_on_error();
const Names& known_model_inits();
const Names& known_methods();
const Names& known_adapter_inits();
const Names& known_biases();
const Names& known_optimizers();
const Names& known_schedules();
const Names& known_memory_modes();
const Names& known_exports();
const Names& known_formats();
const Names& known_templates();
const Names& known_train_on();
const Names& known_source_train_on();
const Names& known_overlong();
const Names& known_actions();  // of data.cleaning
const Names& known_ngram_units();
const Names& known_mixing_strategies();
const Names& known_mixing_units();

// The columns of an available data format, by the format's own names; of auto, those of any.
const std::vector<std::string>& format_columns(const std::string& format);

}  // namespace lora
