#pragma once
// What became of the rows of a recipe's sources, for a person.

#include <string>
#include <utility>
#include <vector>

#include "lora/data/load.h"

namespace lora {

using NamedDatasets = std::vector<std::pair<std::string, const LoadedDataset*>>;  // "train", "validation"

// A row a source: rows read, what was left out and why, samples, tokens. Columns in which nothing happened are left
// out.
std::string sources_table(const NamedDatasets& sets);

// "Format      FILE: alpaca, its columns are …", "Passed over …", "Cache       …": whole lines, of what is to be said.
std::string sources_notes(const NamedDatasets& sets);

}  // namespace lora
