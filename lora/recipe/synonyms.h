#pragma once
// Other tools' names for a recipe's keys. They are not read, only pointed out.

#include <map>
#include <string>

namespace lora {

struct Synonym {
  std::string path;  // of our key, from the top
  std::string note;  // where ours does not mean quite the same
};

// PEFT's, transformers', TRL's, axolotl's, torchtune's and LLaMA-Factory's name -> ours.
const std::map<std::string, Synonym>& key_synonyms();

}  // namespace lora
