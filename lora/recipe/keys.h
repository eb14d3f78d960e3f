#pragma once
// Every key of a recipe, and the hint for one that is unknown.

#include <map>
#include <string>
#include <vector>

namespace lora {

// Section ("" for the top, "data.train" for an entry of that list) -> its keys, in order.
const std::map<std::string, std::vector<std::string>>& known_keys();

// The path of every key that has a value of its own, as an override names it, in order; of a list of sources that of the
// first: "training.batch_size", "data.train.0.path".
std::vector<std::string> override_paths();

// What a key that `section` does not have may stand for: it belongs in another section, is another tool's name for one
// of ours, or is close to either. Both are empty where nothing is near.
struct KeyHint {
  std::string text;  // " (did you mean 'alpha'?)"
  std::string path;  // of our key, from the top: "adapter.alpha"
};
KeyHint key_hint(const std::string& section, const std::string& key);

// " (QLoRA is method lora with model.quantization: nf4)" for another tool's value of the key at `path`, where the
// answer is more than another name for it; else empty.
std::string value_hint(const std::string& path, const std::string& value);

// Other tools' names for keys are not read; they are only in hints.
struct Synonym {
  std::string path;  // of our key, from the top
  std::string note;  // where the meaning of ours differs
};

// PEFT's, transformers', TRL's, axolotl's, torchtune's and LLaMA-Factory's name -> ours.
const std::map<std::string, Synonym>& key_synonyms();

}  // namespace lora
