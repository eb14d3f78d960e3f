#include "lora/data/recognise.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

std::vector<std::string> required_columns(const Format& format) {
  std::vector<std::string> columns = format.columns;
  std::erase_if(columns, [&](const std::string& c) { return std::ranges::count(format.optional, c) > 0; });
  return columns;
}

bool reads_all_renamed(const Format& format, const DataSource& source) {
  return std::ranges::all_of(source.fields,
                             [&](const auto& field) { return std::ranges::count(format.columns, field.first) > 0; });
}

// The column's name in the file, if the row has it and it is not null; else empty.
std::string found_as(const std::string& column, const DataSource& source, const nlohmann::ordered_json& row) {
  const auto renamed = source.fields.find(column);
  const std::string& name = renamed == source.fields.end() ? column : renamed->second;
  const nlohmann::ordered_json* found = find_column(row, name);
  return !found || found->is_null() ? "" : name;
}

bool is_message(const nlohmann::ordered_json& value) {
  return value.is_object() && (value.contains("role") || value.contains("from"));
}

bool may_train(const Format& format, Trains trains) {
  if (trains == Trains::kPair) return format.trains == Trains::kPair;
  return (format.trains == Trains::kLabel) == (trains == Trains::kLabel);
}

}  // namespace

Recognised format_for(const DataSource& source, const nlohmann::ordered_json& row, Trains trains,
                      const std::string& where) {
  Recognised found =
      source.format == "auto" ? recognise_format(source, row, trains, where) : Recognised{&format_of(source), ""};
  if (found.format->of_messages.empty()) return found;
  for (const std::string& column : required_columns(*found.format)) {
    const std::string name = found_as(column, source, row);
    const nlohmann::ordered_json* value = name.empty() ? nullptr : find_column(row, name);
    if (!value || !(value->is_array() || is_message(*value))) continue;
    return {find_row(formats(), found.format->of_messages),
            "its '" + name + (value->is_array() ? "' is a list of messages" : "' is a message")};
  }
  return found;
}

Recognised recognise_format(const DataSource& source, const nlohmann::ordered_json& row, Trains trains,
                            const std::string& where) {
  struct Candidate {
    const Format* format;
    size_t required;
    std::vector<std::string> columns;
  };
  std::vector<Candidate> best;
  std::string expected;
  for (const Format& format : formats()) {
    if (!may_train(format, trains)) continue;
    // The form of another format for messages, which format_for() takes where a row has them.
    const auto reads_its_messages = [&](const Candidate& one) { return one.format->of_messages == format.name; };
    if (std::ranges::any_of(best, reads_its_messages)) continue;
    const std::vector<std::string> required = required_columns(format);
    expected += (expected.empty() ? "" : "; ") + format.name + ": " + listed(required, 20);
    if (!reads_all_renamed(format, source)) continue;
    Candidate candidate{&format, required.size(), {}};
    for (const std::string& column : format.columns) {
      if (std::string name = found_as(column, source, row); !name.empty()) candidate.columns.push_back(name);
    }
    const bool all = std::ranges::all_of(
        required, [&](const std::string& column) { return !found_as(column, source, row).empty(); });
    if (!all) continue;
    if (!best.empty() && best.front().required < candidate.required) best.clear();
    if (best.empty() || best.front().required == candidate.required) best.push_back(std::move(candidate));
  }
  if (best.size() == 1) return {best[0].format, "its columns are " + listed(best[0].columns, 20)};
  std::vector<std::string> columns, null;
  for (const auto& item : row.items()) {
    columns.push_back(item.key());
    if (item.value().is_null()) null.push_back(item.key());
  }
  if (best.empty()) {
    throw DataError(
        where + ": no format has these columns: " + listed(columns, 20) +
        (null.empty() ? "" : ", of which " + listed(null, 20) + (null.size() == 1 ? " is null" : " are null")) +
        "; expected those of " + expected +
        ", or `fields` to rename them, as in fields: {prompt: question, completion: answer}");
  }
  std::vector<std::string> names;
  for (const Candidate& candidate : best) names.push_back(candidate.format->name);
  throw DataError(where + ": these columns are those of several formats: " + listed(columns, 20) +
                  "; expected one of " + listed(names, 20) + " in `format`");
}

}  // namespace lora
