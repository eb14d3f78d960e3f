// A file of rows: JSONL, a JSON array, an object with a list, CSV, gzip or zstd. Every row goes through every format. The
// input's first byte selects the file's name, and whether it is asked for by a pattern or another is. Then comes a source's
// `fields`, as "prompt=a.b;completion=c", up to a NUL.

#include <nlohmann/json.hpp>

#include "lora/data/chat.h"
#include "lora/data/format.h"
#include "lora/data/rows.h"
#include "tests/fuzz/target.h"

namespace {

std::map<std::string, std::string> renamed_columns(std::string_view text) {
  std::map<std::string, std::string> fields;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    if (const size_t equals = one.find('='); equals != one.npos) {
      fields[std::string(one.substr(0, equals))] = one.substr(equals + 1);
    }
  }
  return fields;
}

void expect_reasoning_inside(const lora::Example& example) {
  if (!example.chat) return;
  for (const lora::ChatMessage& message : example.chat->messages) {
    const auto [begin, end] = lora::reasoning_in(message);
    if (begin > end || end > message.content().size()) ::abort();
  }
}

void make_example(const lora::Format& format, const lora::DataRow& row) {
  try {
    lora::row_mark(format, row);
    lora::is_chosen(format, row);
  } catch (const lora::DataError&) {
  }
  try {
    expect_reasoning_inside(format.make(row));
  } catch (const lora::DataError&) {
  }
  row.unread();
}

}  // namespace

FUZZ_TARGET(rows) {
  if (input.empty()) return;
  constexpr const char* kNames[] = {"rows.jsonl", "rows.csv", "rows.TSV", "rows.csv.gz", "rows.tsv.zst"};
  const auto choice = static_cast<unsigned char>(input[0]);
  const auto [fields, content] = lora::test::split_input(input.substr(1));
  const auto directory = lora::test::input_directory() / "rows";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  const std::string name = kNames[choice % std::size(kNames)];
  lora::test::write_input(directory / name, content);
  lora::DataSource source;
  source.fields = renamed_columns(fields);
  source.train_on = choice & 0x80 ? std::optional(lora::TrainOn::kChosen) : std::nullopt;
  source.path = (directory / (choice & 0x40 ? "row[s].*" : choice & 0x20 ? "missing" : name)).string();

  for (const std::string& path : lora::matching_files(source.path)) {
    lora::RowReader reader(path, lora::object_is_row(source));
    for (lora::RawRow raw; reader.next(raw);) {
      try {
        const auto object = reader.parse(raw);
        const std::string where = reader.where(raw);
        for (const lora::Format& format : lora::formats()) {
          source.format = format.name;
          make_example(format, {source, object, where});
        }
      } catch (const lora::DataError&) {
      }
      if (reader.bytes_read() > static_cast<int64_t>(content.size())) ::abort();
    }
    if (reader.finish().bytes != static_cast<int64_t>(content.size())) ::abort();
  }
  lora::for_each_row(source, [](const lora::DataRow& row) { row.unread(); });
}
