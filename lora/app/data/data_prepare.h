#pragma once
// The cleaned and tokenised data of a recipe as files.

#include <filesystem>
#include <string>

#include "lora/app/data/data_study.h"

namespace lora {

// Writes into `directory`, for the training and, where there are any, the validation data:
//   train.safetensors   input_ids (tokens) int32 · supervised (tokens) uint8, 1: trained · ends (samples) int64, where
//                       each sample ends in the first two · labels (samples) int32, of a classifier
//   findings.jsonl      every finding of cleaning
//   manifest.json       rows, samples and tokens a source; the size and SHA-256 of the files beside it; written last
// Returns a line a file. A directory that has a manifest.json already is refused (StorageError).
std::string write_prepared(const StudiedData& data, const std::filesystem::path& directory);

}  // namespace lora
