#pragma once
// Reports what happened to the rows of a recipe's sources.

#include <string>
#include <utility>
#include <vector>

#include "lora/data/load.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/table.h"

namespace lora {

using NamedDatasets = std::vector<std::pair<std::string, const LoadedDataset*>>;  // "train", "validation"

// One row per source: rows read, rows left out and why, samples, tokens. Omits columns that are zero in every row.
TextTable sources_rows(const NamedDatasets& sets);
std::string sources_table(const NamedDatasets& sets);

// "Lost", "FILE: the chat template writes nothing of the tool calls of 3 messages"; "Only end", "FILE: …" and "No end",
// "FILE: …": each only if it applies.
Facts lost_facts(const std::string& path, const SourceCounts& counts);

// "Format", "FILE: alpaca, its columns are …"; "Not read", "FILE: 'id', …"; "Spelled out", "FILE: '</s>', …"; those of
// lost_facts; "Passed over", "…"; "Cache", "…": each only if it applies.
Facts sources_notes(const NamedDatasets& sets);

}  // namespace lora
