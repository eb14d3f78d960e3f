#pragma once
// Trained adapters from disk as one weighted combination on their base.

#include <string>
#include <vector>

#include "lora/adapters/combine.h"
#include "lora/app/source/trained_model.h"

namespace lora {

struct WeightedPath {
  std::string path;  // RUN_OR_ADAPTER
  double weight;
};

// "PATH=WEIGHT", parted at the last '='. Error (exit code 2) for anything else.
WeightedPath weighted_path(const std::string& argument);

// As load_trained, of a combination. Adapters that say they are of different bases are an Error (exit code 2) that
// names both, unless `model_path` says which base is meant; one that does not fit the base's shapes is refused in any
// case. The line ends with a table of what each module lost.
TrainedModel load_combined(const std::vector<WeightedPath>& paths, const CombineOptions& options,
                           const std::string& model_path, const std::vector<std::string>& ignored_options = {},
                           const std::string& device = "cpu");

}  // namespace lora
