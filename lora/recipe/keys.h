#pragma once
// Every key of a recipe, and what to say of one that is none.

#include <map>
#include <string>
#include <vector>

namespace lora {

// Section ("" for the top, "data.train" for an entry of that list) -> its keys, in order.
const std::map<std::string, std::vector<std::string>>& known_keys();

// " (did you mean 'alpha'?)" for a key that `section` does not have: it stands in another section, is another tool's
// name for one of ours (PEFT, transformers, axolotl, torchtune, TRL), or is close to either. Empty where nothing is
// near.
std::string key_hint(const std::string& section, const std::string& key);

}  // namespace lora
