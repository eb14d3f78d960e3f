#pragma once
// Writes the study of a recipe's data as one HTML page.

#include <string>

#include "lora/app/data/data_study.h"

namespace lora {

// Self-contained: no script, and no external style, font or picture. Light or dark as the reader's system. All data is
// escaped. Of a row with personal data or secrets, only the place is shown. Also well-formed XML.
std::string data_page(const DataStudy& study, const std::string& title);

}  // namespace lora
