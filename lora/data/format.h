#pragma once
// From the columns of a row to a prompt and its answer, or to a text and its label. A new format is one file in
// formats/ and one row in format.cpp.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/chat.h"
#include "lora/data/rows.h"
#include "models/base/names.h"

namespace lora {

// What the model reads and what it is to say next. The two are one text: nothing is put between them. An empty prompt
// means that everything is trained on.
struct Example {
  std::string prompt;
  std::string completion;
  std::optional<std::string> label = {};  // classification: of the prompt, which is then all of the text
  // The user's words where the prompt has more than these, and the system's words in it, for a chat template.
  std::string user = {};
  std::string system = {};
  // A conversation, which samples are made of then; prompt and completion are its plain text, for cleaning and reports:
  // all but the last answer, and that answer; calls count as words.
  std::shared_ptr<const Chat> chat = {};
  // A preference pair: this is the chosen one, and that the other, with the same prompt. `margin`: how much better the
  // chosen one is, where the row says so.
  std::shared_ptr<const Example> rejected = {};
  std::optional<double> margin = {};
  // For Trains::kMark: whether the answer is one to learn.
  std::optional<bool> mark = {};
};

enum class Turns { kNever, kIfAsked, kAlways };

struct Format {
  std::string name;                  // as in a recipe
  std::vector<std::string> columns;  // every column it may read, by its own names
  Example (*make)(const DataRow& row);
  std::vector<std::string> optional = {};  // of the columns, those that a row may lack
  Turns turns = Turns::kNever;             // whether a chat template renders its rows
  Trains trains = Trains::kText;  // what its rows are made for; a run may learn something else from kText and kPair
  std::vector<std::string> elsewhere = {};  // other tools' names for it
  // The format that reads a source instead whose first row has a list in a required column.
  std::string of_messages = {};
  // The template, of builtin_templates(), that renders rows with several turns where no other is asked for.
  std::string own_template = {};
};

// All formats.
const std::vector<Format>& formats();

// The names that a recipe's `format` accepts: those of formats(), and auto.
const Names& format_names();

// The columns that rows of the format `name` may have, by the format's own names; of auto, those of all formats,
// sorted.
std::vector<std::string> columns_of(const std::string& name);

// The format of a source. Throws RecipeError for an unknown name, and for an entry of `fields` that is not one of its
// columns.
const Format& format_of(const DataSource& source);

// Whether the row's answer is one to learn. KTO's rows say it in `label` or `kto_tag`: true or false. None: the row has
// no such mark, or its format takes none.
std::optional<bool> row_mark(const Format& format, const DataRow& row);

// Whether the row is used in training on text: not if its mark is false and the source's train_on is `chosen`. Throws
// DataError for a row with a mark if train_on is not `chosen`, and for a row without one if it is.
bool is_chosen(const Format& format, const DataRow& row);

// Why the source's rows cannot be trained on as its `train_on` says, by a run that learns `trains`; empty where they
// can.
std::string train_on_problem(const Format& format, const DataSource& source, Trains trains);

}  // namespace lora
