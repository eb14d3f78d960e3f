#pragma once
// Configuration files of other trainers, turned into recipes.

#include <filesystem>
#include <string>

#include "lora/recipe/document.h"

namespace lora {

// "axolotl", "LLaMA-Factory" or "TRL" for a tree that is written for one of these; empty for any other.
std::string foreign_tool(const YamlNode& root);

// The recipe that trains the same, as YAML: what the file leaves out is as its tool has it by default. Its comment names
// every setting of the file that it leaves out, and why, and what is to be settled before it runs, such as the download
// of a model. Throws RecipeError for a file that is not one of these tools', and as parse_document does.
std::string converted_recipe(const std::filesystem::path& file);

}  // namespace lora
