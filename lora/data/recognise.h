#pragma once
// Format `auto`: which format a source's columns are those of.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "lora/data/format.h"

namespace lora {

struct Recognised {
  const Format* format;
  std::string ground;  // "its columns are 'prompt', 'completion'"
};

// By the columns of the source's first row: of the formats all of whose columns are there, renamed as `fields` says and
// less those it can do without, the one with the most of them. `labelled` leaves the classifiers' formats alone, else
// they are left out. DataError "WHERE: …" with the columns found where there is none, or no single one.
Recognised recognise_format(const DataSource& source, const nlohmann::ordered_json& row, bool labelled,
                            const std::string& where);

}  // namespace lora
