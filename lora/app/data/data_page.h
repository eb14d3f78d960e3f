#pragma once
// The study of a recipe's data as one HTML page.

#include <string>

#include "lora/app/data/data_study.h"

namespace lora {

// Self-contained: no script, no style, font or picture from elsewhere; light or dark as the reader's system is.
// Everything from the data is escaped; of a row with personal data or secrets only the place is shown. Well-formed XML
// too.
std::string data_page(const DataStudy& study, const std::string& title);

}  // namespace lora
