#include "lora/app/source/combined_model.h"

#include <charconv>

#include "lora/app/source/named_path.h"
#include "lora/app/source/trained_source.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& message) { throw Error(ExitCode::kRecipe, "combine", message); }

// A name that tells the adapters apart in messages.
std::string name_for(const std::string& path, size_t index, const AdapterSet& set) {
  std::string name = named_path(path).name;
  if (!set.contains(name) && adapter_name_problem(name).empty()) return name;
  return "adapter-" + std::to_string(index + 1);
}

std::string error_table(const CombinedAdapter& combined) {
  std::vector<std::vector<std::string>> rows = {{"module", "rank", "error"}};
  for (const CombinedModule& module : combined.modules) {
    rows.push_back({module.path, std::to_string(module.rank), fixed(100 * module.error, 3) + " %"});
  }
  rows.push_back({"all", "", fixed(100 * combined.error, 3) + " %"});
  return table(rows, {false, true, true}) +
         indented("error: the distance from the weighted sum of the updates, of its norm", 2);
}

}  // namespace

WeightedPath weighted_path(const std::string& argument) {
  const size_t equals = argument.rfind('=');
  WeightedPath weighted{argument.substr(0, equals), 0};
  if (equals != std::string::npos && equals > 0) {
    const char* end = argument.data() + argument.size();
    const auto [read, error] = std::from_chars(argument.data() + equals + 1, end, weighted.weight);
    if (error == std::errc() && read == end) return weighted;
  }
  fail("'" + argument + "': expected PATH=WEIGHT, such as runs/fr=0.7");
}

TrainedModel load_combined(const std::vector<WeightedPath>& paths, const CombineOptions& options,
                           const std::string& model_path, const std::vector<std::string>& ignored_options,
                           const std::string& device) {
  std::vector<TrainedSource> sources;
  for (const WeightedPath& one : paths) sources.push_back(find_trained(one.path, ignored_options));
  const TrainedSource& first = sources.front();
  if (model_path.empty()) {
    for (size_t i = 1; i < sources.size(); ++i) {
      if (may_be_same_base(first.base_model, sources[i].base_model)) continue;
      fail("'" + paths.front().path + "' is of the base '" + first.base_model + "' and '" + paths[i].path + "' of '" +
           sources[i].base_model + "'; expected adapters of one base. Where it is one, name it with --model");
    }
  }
  const std::string base = model_path.empty() ? first.base_model : model_path;
  TrainedModel trained = load_base(base, first, {}, 0, labels_of(first, base), device);
  AdapterSet set(trained.adapted.model);
  WeightedNames weighted;
  for (size_t i = 0; i < paths.size(); ++i) {
    weighted.emplace_back(name_for(paths[i].path, i, set), paths[i].weight);
    load_trained_into(sources[i], set, weighted.back().first);
  }
  const CombinedAdapter combined = combine(set, weighted, options);
  attach(combined.adapted);
  trained.adapted = combined.adapted;
  trained.line = std::to_string(paths.size()) + " adapters by " + options.type + "\n" + error_table(combined);
  return trained;
}

}  // namespace lora
