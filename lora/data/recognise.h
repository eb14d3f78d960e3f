#pragma once
// Format `auto`: recognises a source's format by its columns.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "lora/data/format.h"

namespace lora {

struct Recognised {
  const Format* format;
  std::string ground;  // "its columns are 'prompt', 'completion'"
};

// Uses the columns of the source's first row, renamed by `fields`. Among the formats whose required columns are all
// present, it picks the one with the most columns. Considers only formats whose
// rows serve a run that learns `trains`. Throws DataError "WHERE: …" with the columns found if no format, or more than
// one, fits.
Recognised recognise_format(const DataSource& source, const nlohmann::ordered_json& row, Trains trains,
                            const std::string& where);

// The same for a format that the source names. For either, the format that reads lists of messages instead, where the
// row has a list in one of the columns that the format requires. A ground is given where `format` is auto or not read
// as it stands.
Recognised format_for(const DataSource& source, const nlohmann::ordered_json& row, Trains trains,
                      const std::string& where);

}  // namespace lora
