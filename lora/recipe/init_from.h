#pragma once
// A recipe that continues from an adapter: what it leaves out is as in the adapter's file.

#include <filesystem>

#include "lora/recipe/document.h"

namespace lora {

// With adapter.init_from: adds each key of `adapter` that the tree does not have, with the value that the file's
// adapter_config.json says, as PEFT continues an adapter. Their place is that file. Where the file cannot be read the
// tree stays as it is: the loading of the adapter says what is wrong. Of a pruned AdaLoRA adapter the ranks are left
// out: it cannot be continued.
void adopt_init_from(YamlNode& root, const std::filesystem::path& recipe_directory);

}  // namespace lora
