#include "lora/inspect/model.h"

#include <map>
#include <set>

#include "lora/inspect/base_weights.h"
#include "lora/inspect/tensors.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"
#include "models/network/pretrained.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Adds the main values of config.json as written, also for an unsupported family.
void describe_config(const fs::path& file, Inspection& inspection) {
  const Json config = parse_json_or_discard<Json>(read_file(file));
  if (!config.is_object()) {
    inspection.odd.push_back(file.string() + ": not a JSON object");
    return;
  }
  for (const auto& [key, title] :
       std::initializer_list<std::pair<const char*, const char*>>{{"model_type", "Type"},
                                                                  {"num_hidden_layers", "Layers"},
                                                                  {"hidden_size", "Hidden"},
                                                                  {"intermediate_size", "Inner"},
                                                                  {"num_attention_heads", "Heads"},
                                                                  {"num_key_value_heads", "Key heads"},
                                                                  {"head_dim", "Head width"},
                                                                  {"vocab_size", "Vocabulary"},
                                                                  {"max_position_embeddings", "Positions"},
                                                                  {"tie_word_embeddings", "Tied head"}}) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_primitive() && !found->is_null()) {
      inspection.facts.push_back({key, title, *found});
    }
  }
}

// Compares the tensors that config.json implies with the tensors in the files.
void compare_with_config(const fs::path& directory, const SafetensorsFiles& files, Inspection& inspection) {
  std::map<std::string, std::vector<int64_t>> expected;
  try {
    ModelConfig config = read_model_config(directory);
    const auto model = make_meta(directory, "auto", config.labels);
    for (const auto& item : model->named_parameters()) expected[item.key()] = item.value().sizes().vec();
  } catch (const Error& e) {
    inspection.odd.push_back(std::string("cannot be trained or merged here: ") + e.what());
    return;
  }
  std::vector<std::string> missing, extra;
  std::set<std::string> found;
  for (const auto& file : files) {
    for (const auto& [name, entry] : file->entries()) {
      found.insert(name);
      const auto place = expected.find(name);
      if (place == expected.end()) {
        extra.push_back(name);
      } else if (place->second != entry.shape) {
        inspection.odd.push_back("'" + name + "' is " + c10::str(at::IntArrayRef(entry.shape)) +
                                 "; config.json means " + c10::str(at::IntArrayRef(place->second)));
      }
    }
  }
  for (const auto& [name, shape] : expected) {
    if (!found.contains(name)) missing.push_back(name);
  }
  // A family may store several projections in one tensor with its own name.
  if (!missing.empty()) inspection.odd.push_back("config.json means tensors that are not there: " + listed(missing, 5));
  if (!extra.empty()) inspection.odd.push_back("config.json has no place for " + listed(extra, 5));
}

}  // namespace

void describe_model(const fs::path& directory, bool each, bool read_values, Inspection& inspection) {
  if (fs::exists(directory / "config.json")) {
    describe_config(directory / "config.json", inspection);
  } else {
    inspection.odd.push_back("there is no config.json");
  }
  const SafetensorsFiles files = model_files(directory, inspection.odd);
  if (files.empty()) {
    inspection.odd.push_back("there are no weights in safetensors");
    return;
  }
  describe_tensors(files, each, read_values, inspection);
  if (fs::exists(directory / "config.json")) compare_with_config(directory, files, inspection);
}

}  // namespace lora
