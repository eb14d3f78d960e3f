#pragma once
// From the columns of a row to a prompt and its answer, or to a text and its label. A new format is one file in
// formats/ and one line in formats().

#include <optional>
#include <string>
#include <vector>

#include "lora/data/rows.h"

namespace lora {

// What the model reads and what it is to say next. The two are one text: nothing is put between them. An empty prompt
// means that everything is trained on.
struct Example {
  std::string prompt;
  std::string completion;
  std::optional<std::string> label = {};  // classification: of the prompt, which is then all of the text
};

struct Format {
  std::string name;                  // as in a recipe
  std::vector<std::string> columns;  // every column it may read, by its own names
  Example (*make)(const DataRow& row);
  std::vector<std::string> optional = {};  // of the columns, those that a row may be without
};

// Every format there is.
const std::vector<Format>& formats();

// The format of a source. Throws RecipeError for an unknown name, and for a `fields` entry that is no column of it.
const Format& format_of(const DataSource& source);

}  // namespace lora
