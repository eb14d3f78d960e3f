#pragma once
// The page of a run, or of several runs side by side: one HTML file without scripts that loads nothing.

#include <string>

#include "lora/report/comparison.h"

namespace lora {

// Every text in it is escaped: names, rows and answers come from strangers. Of one run it also holds the record.
std::string report_page(const ReportedRuns& runs);

// The record that a page of one run holds, as JSON; empty where there is none.
std::string record_in(const std::string& page);

}  // namespace lora
