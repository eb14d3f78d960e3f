#pragma once
// Writes the cleaned and tokenised data of a recipe to files.

#include <filesystem>
#include <string>

#include "lora/app/data/data_study.h"

namespace lora {

// Writes into `directory`, for the training data and, if there is any, the validation data:
//   train.safetensors   input_ids (tokens) int32 · supervised (tokens) uint8, 1: trained · ends (samples) int64,
//                       end of each sample in the first two · labels (samples) int32, for a classifier
//   chat_template.jinja of conversations, the template that rendered the first source of them
//   findings.jsonl      every finding of cleaning
//   manifest.json       rows, samples and tokens per source; max_length; the tokenizer (tokenizer_identity()); a
//                       classifier's labels; size and SHA-256 of the other files; written last
// A recipe reads the directory as a source: see prepared_data.h. Returns one line per file. Throws StorageError if the
// directory already has a manifest.json.
std::string write_prepared(const StudiedData& data, const Tokenizer& tokenizer, const std::filesystem::path& directory);

}  // namespace lora
