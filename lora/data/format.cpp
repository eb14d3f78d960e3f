#include "lora/data/format.h"

#include <algorithm>
#include <set>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {

// Each in its own file of formats/.
Format alpaca_format(), chat_format(), classification_format(), completion_format(), preference_format(),
    preference_chat_format(), sharegpt_format(), text_format();

namespace {

// Whether a row of the format may say that its answer is not one to learn.
bool takes_marks(const Format& format) {
  return format.trains == Trains::kText && std::ranges::count(format.columns, "label") > 0;
}

struct Mark {
  std::string column;
  bool good;
};

std::optional<Mark> find_mark(const Format& format, const DataRow& row) {
  if (!takes_marks(format)) return {};
  for (const char* column : {"label", "kto_tag"}) {
    if (const std::optional<bool> good = row.flag(column)) return Mark{column, *good};
  }
  return {};
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      alpaca_format(),          chat_format(),     classification_format(), completion_format(), preference_format(),
      preference_chat_format(), sharegpt_format(), text_format(),
  };
  return all;
}

const Names& format_names() {
  static const Names names = with_rows({{"auto"}}, formats());
  return names;
}

std::vector<std::string> columns_of(const std::string& name) {
  if (const Format* format = find_row(formats(), name)) return format->columns;
  std::set<std::string> all;
  for (const Format& format : formats()) all.insert(format.columns.begin(), format.columns.end());
  return {all.begin(), all.end()};
}

const Format& format_of(const DataSource& source) {
  const Format* format = find_row(formats(), source.format);
  if (!format) {
    throw RecipeError("data: unknown format '" + source.format + "' of " + source.path +
                      ", expected one of: " + joined(format_names().known) + name_hint(format_names(), source.format));
  }
  const std::vector<std::string>& columns = format->columns;
  for (const auto& [column, name] : source.fields) {
    if (std::ranges::count(columns, column) > 0) continue;
    throw RecipeError("data: `fields` of " + source.path + " renames '" + column + "' to '" + name + "', but format '" +
                      format->name + "' reads " + listed(columns, columns.size()) + did_you_mean(column, columns));
  }
  return *format;
}

std::optional<bool> row_mark(const Format& format, const DataRow& row) {
  const std::optional<Mark> mark = find_mark(format, row);
  return mark ? std::optional(mark->good) : std::nullopt;
}

bool is_chosen(const Format& format, const DataRow& row) {
  const bool asked = row.source().train_on == TrainOn::kChosen;
  const std::optional<Mark> mark = find_mark(format, row);
  if (mark && !asked) {
    throw DataError(row.where() + ": '" + mark->column + "' is " + (mark->good ? "true" : "false") +
                    ", as in data for KTO, where false marks an answer that is not to be learnt; training.objective: " +
                    "kto learns from both, and train_on: chosen of this source trains on the rows with true alone");
  }
  if (!mark && asked && takes_marks(format)) {
    throw DataError(row.where() + ": neither 'label' nor 'kto_tag' is true or false, which train_on: chosen goes by");
  }
  return !mark || mark->good;
}

std::string train_on_problem(const Format& format, const DataSource& source, Trains trains) {
  const bool is_pair = format.trains == Trains::kPair;
  if (learns_preferences(trains)) {
    if (source.train_on) return "goes with objective causal_lm; the objective says what is trained of a pair or a mark";
    if (is_pair || (trains == Trains::kMark && takes_marks(format))) return "";
    return "the objective learns from " +
           std::string(trains == Trains::kPair ? "pairs: format preference, with 'chosen' and 'rejected'"
                                               : "answers with a 'label' (true or false), or from pairs") +
           ", found format " + format.name;
  }
  const bool chosen = source.train_on == TrainOn::kChosen;
  if (is_pair && !chosen) {
    return "pairs are learnt by training.objective dpo, ipo, orpo, simpo, cpo, kto or reward; "
           "train_on: chosen trains on the chosen answers alone";
  }
  return chosen && !is_pair && !takes_marks(format) ? "chosen goes with pairs or a label, found format " + format.name
                                                    : "";
}

}  // namespace lora
