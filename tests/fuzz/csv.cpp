// CSV and TSV records. After an error the reader goes on with the next line, where it can.

#include "lora/data/csv.h"

#include <sstream>

#include "tests/fuzz/target.h"

FUZZ_TARGET(csv) {
  for (const char separator : {',', '\t'}) {
    std::stringbuf bytes{std::string(input)};
    lora::CsvReader reader(bytes, "rows.csv", separator);
    std::vector<std::string> fields;
    for (bool more = true; more;) {
      try {
        more = reader.next(fields);
      } catch (const lora::DataError&) {
        more = reader.skip_line();
      }
    }
  }
}
