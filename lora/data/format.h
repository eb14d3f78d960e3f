#pragma once
// From the columns of a row to a prompt and its answer, or to a text and its label. A new format is one file in
// formats/ and one line in formats().

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/chat.h"
#include "lora/data/rows.h"

namespace lora {

// What the model reads and what it is to say next. The two are one text: nothing is put between them. An empty prompt
// means that everything is trained on.
struct Example {
  std::string prompt;
  std::string completion;
  std::optional<std::string> label = {};  // classification: of the prompt, which is then all of the text
  // The user's words where the prompt has more than these (alpaca), for a chat template.
  std::string user = {};
  // A conversation, which samples are made of then; prompt and completion are its plain text, for cleaning and reports:
  // all but the last answer, and that answer.
  std::shared_ptr<const Chat> chat = {};
  // A preference pair: this is the chosen one, and that the other, with the same prompt.
  std::shared_ptr<const Example> rejected = {};
};

enum class Turns { kNever, kIfAsked, kAlways };

struct Format {
  std::string name;                  // as in a recipe
  std::vector<std::string> columns;  // every column it may read, by its own names
  Example (*make)(const DataRow& row);
  std::vector<std::string> optional = {};  // of the columns, those that a row may be without
  Turns turns = Turns::kNever;             // whether a chat template renders its rows
};

// Every format there is.
const std::vector<Format>& formats();

// The format of a source. Throws RecipeError for an unknown name, and for a `fields` entry that is no column of it.
const Format& format_of(const DataSource& source);

}  // namespace lora
