#pragma once
// What an export carries of the conversations that a model was trained with: the chat template, and the tokens that end
// an answer. A program that loads it then asks as in training, and stops where the model does.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lora/data/template_files.h"
#include "lora/export/export.h"

namespace lora {

// The templates that the export carries: those trained with, else the base's own. Without text if there are none.
TemplateFiles exported_templates(const ExportSource& source);

// The tokens that end an answer, each once: of a chat template the special tokens behind it. None without
// conversations, and for a template from which they cannot be told.
std::vector<int64_t> turn_ends(const ExportSource& source);

// Writes the chat template into a directory that has copies of the tokenizer's files.
void write_chat_template(const ExportSource& source, const std::filesystem::path& directory);

// Adds the ends of turns to `eos_token_id` of the directory's generation_config.json, where transformers' generate()
// looks. Without that file it makes one of the base's config.json.
void write_generation_ends(const ExportSource& source, const std::filesystem::path& directory);

// "; answers end with '<|im_end|>', chat template chatml", for a person; empty without conversations.
std::string chat_line(const ExportSource& source);

}  // namespace lora
