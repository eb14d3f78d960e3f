#pragma once
// Every key of a recipe, and the hint for one that is unknown.

#include <map>
#include <string>
#include <vector>

namespace lora {

// Section ("" for the top, "data.train" for an entry of that list) -> its keys, in order.
const std::map<std::string, std::vector<std::string>>& known_keys();

// " (did you mean 'alpha'?)" for a key that `section` does not have: it belongs in another section, is another tool's
// name for one of ours, or is close to either. Empty where nothing is near.
std::string key_hint(const std::string& section, const std::string& key);

// Other tools' names for keys are not read; they are only in hints.
struct Synonym {
  std::string path;  // of our key, from the top
  std::string note;  // where the meaning of ours differs
};

// PEFT's, transformers', TRL's, axolotl's, torchtune's and LLaMA-Factory's name -> ours.
const std::map<std::string, Synonym>& key_synonyms();

}  // namespace lora
