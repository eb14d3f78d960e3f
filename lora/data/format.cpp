#include "lora/data/format.h"

#include <algorithm>
#include <set>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {

// Each in its own file of formats/.
Format alpaca_format(), chat_format(), classification_format(), completion_format(), preference_format(),
    sharegpt_format(), text_format();

namespace {

// Whether a row of the format may say that its answer is not one to learn.
bool takes_marks(const Format& format) {
  return format.trains == Trains::kText && std::ranges::count(format.columns, "label") > 0;
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      alpaca_format(),     chat_format(),     classification_format(), completion_format(),
      preference_format(), sharegpt_format(), text_format(),
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

bool is_chosen(const Format& format, const DataRow& row) {
  if (!takes_marks(format)) return true;
  const bool asked = row.source().train_on == TrainOn::kChosen;
  for (const char* column : {"label", "kto_tag"}) {
    const std::optional<bool> mark = row.flag(column);
    if (mark && asked) return *mark;
    if (!mark) continue;
    throw DataError(row.where() + ": '" + column + "' is " + (*mark ? "true" : "false") +
                    ", as in data for KTO, where false marks an answer that is not to be learnt; train_on: chosen of " +
                    "this source trains on the rows with true alone");
  }
  if (!asked) return true;
  throw DataError(row.where() + ": neither 'label' nor 'kto_tag' is true or false, which train_on: chosen goes by");
}

std::string train_on_problem(const Format& format, const DataSource& source) {
  const bool chosen = source.train_on == TrainOn::kChosen;
  if (format.trains == Trains::kPair && !chosen) {
    return "preference pairs are read and checked, but training on preferences does not exist yet; "
           "train_on: chosen trains on the chosen answers alone";
  }
  const bool possible = format.trains == Trains::kPair || takes_marks(format);
  return chosen && !possible ? "chosen goes with pairs or a label, found format " + format.name : "";
}

}  // namespace lora
