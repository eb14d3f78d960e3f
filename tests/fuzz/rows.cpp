// A file of rows: JSONL, a JSON array, an object with a list, gzip or zstd. Every row goes through every format.

#include <nlohmann/json.hpp>

#include "lora/data/format.h"
#include "lora/data/rows.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(rows) {
  const lora::test::MemoryFile file(input);
  lora::RowReader reader(file.path());
  const lora::DataSource source;
  for (lora::RawRow raw; reader.next(raw);) {
    try {
      const auto object = reader.parse(raw);
      const std::string where = reader.where(raw);
      for (const lora::Format& format : lora::formats()) {
        try {
          const lora::DataRow row(source, object, where);
          format.make(row);
          row.unread();
        } catch (const lora::DataError&) {
        }
      }
    } catch (const lora::DataError&) {
    }
  }
  reader.finish();
}
