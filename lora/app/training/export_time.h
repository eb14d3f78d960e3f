#pragma once
// About how long the exports of a run will take, before the first of them is written.

#include <cstdint>

#include "lora/export/export.h"
#include "lora/recipe/recipe.h"

namespace lora {

// From a checkpoint of so many bytes that took so many seconds: it is written, hashed and synced, as exports are
// written, synced and read again.
double guessed_export_seconds(const Recipe& recipe, const ExportSource& source, int64_t checkpoint_bytes,
                              double checkpoint_seconds);

}  // namespace lora
