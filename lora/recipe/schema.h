#pragma once
// The recipe's description (fields.h) as a JSON Schema, for editors that complete and check a recipe while it is typed.

#include <string>

namespace lora {

// A JSON Schema (draft 7) of a recipe file: every key with its type, range, names, default and meaning; no other key is
// allowed. What it refuses, load_recipe refuses. Rules between keys (checks.cpp) and paths are load_recipe's alone.
std::string recipe_schema();

}  // namespace lora
