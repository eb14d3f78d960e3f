#include "lora/app/training/reference_cache.h"

#include <chrono>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "lora/app/training/sample_hash.h"
#include "lora/data/cache.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/text.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/mapped_file.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

void add(Sha256& hash, std::string_view text) {
  const uint64_t size = text.size();
  hash.update(&size, sizeof size);
  hash.update(text.data(), text.size());
}

void add_tensor(Sha256& hash, const std::string& name, const at::Tensor& tensor) {
  const at::Tensor bytes = tensor.detach().contiguous().cpu();
  add(hash, name);
  hash.update(bytes.const_data_ptr(), bytes.nbytes());
}

// Of what both references follow from beside their samples: the weights at the start, and how they are computed with.
std::string start_of(const PlannedRun& run) {
  const Recipe& recipe = run.recipe();
  const ExecutionPlan& plan = run.plan.execution;
  Sha256 hash;
  add(hash, "reference 4");
  add(hash, run.prepared.base);
  add(hash, recipe.training.objective + " " + recipe.model.dtype + " " + recipe.model.quantization + " " +
                std::to_string(recipe.model.double_quantization) + " " +
                std::to_string(static_cast<int>(recipe.model.new_tokens_init)) + " " +
                std::to_string(recipe.training.seed) + " " + std::to_string(recipe.training.batch_size) + " " +
                std::to_string(recipe.training.preference.share_prompt) + " " +
                std::to_string(static_cast<int>(recipe.training.preference.loss)) + " " + std::to_string(plan.tokens) +
                " " + std::to_string(plan.fused) + " " + recipe.adapter.method + " " + recipe.adapter.init + " " +
                std::to_string(recipe.adapter.use_rslora) +
                (run.model().device().is_cpu() ? "" : " on " + run.model().device().str()));
  // Of an adapter also what is not trained: its scale, and a frozen A.
  for (const AdaptedModule& module : run.adapted.modules) {
    add(hash, module.path + " " + std::to_string(module.layer->rank()) + " " + std::to_string(module.layer->alpha()));
    for (const auto& [name, tensor] : module.layer->peft_tensors()) add_tensor(hash, name, tensor);
  }
  for (const ParameterGroup& group : run.trainer->groups()) {
    for (const auto& [path, parameter] : group.parameters) add_tensor(hash, path, parameter);
  }
  return hash.digest();
}

std::string key_of(const std::string& start, const Dataset& data) {
  Sha256 hash;
  add(hash, start);
  add_samples(hash, data);
  return hash.digest();
}

// The file: both lists of float64, one after the other, and the SHA-256 of these bytes as text.
std::optional<Reference> read_reference(const fs::path& path, int64_t samples) {
  std::error_code absent;
  const size_t count = static_cast<size_t>(samples), bytes = 2 * count * sizeof(double);
  if (!fs::exists(path, absent) || fs::file_size(path, absent) != bytes + 64) return {};
  const MappedFile file(path, ExitCode::kData);
  const auto* data = reinterpret_cast<const char*>(file.data());
  if (sha256_of({data, bytes}) != std::string_view(data + bytes, 64)) return {};
  Reference reference{std::vector<double>(count), std::vector<double>(count)};
  std::memcpy(reference.first.data(), data, bytes / 2);
  std::memcpy(reference.second.data(), data + bytes / 2, bytes / 2);
  touch_cached(path);
  return reference;
}

void write_reference(const fs::path& path, const Reference& reference) {
  std::string bytes;
  for (const auto* list : {&reference.first, &reference.second}) {
    bytes.append(reinterpret_cast<const char*>(list->data()), list->size() * sizeof(double));
  }
  write_file_atomically(path, bytes + sha256_of(bytes));
}

struct Found {
  Reference reference;
  bool cached = false;
  std::string problem;  // of the cache
};

// `start`: of start_of(); empty: there is no cache.
Found find_reference(const PlannedRun& run, const std::string& start, const Dataset& data, const OnPass& on_pass) {
  const fs::path directory = cache_directory(run.recipe().data.cache_dir);
  const fs::path path = start.empty() ? fs::path() : directory / (key_of(start, data) + ".reference");
  Found found;
  std::optional<Reference> kept;
  try {
    if (!path.empty()) open_cache(directory);
    if (!path.empty()) kept = read_reference(path, data.size());
  } catch (const Error& error) {
    found.problem = error.what();
  }
  // It is computed together, so where one process lacks it all take part.
  Replicas& replicas = run.trainer->replicas();
  bool all_have = true;
  for (const nlohmann::json& one : gather_values(replicas, kept.has_value())) all_have = all_have && one.get<bool>();
  if (all_have) return {*std::move(kept), true, ""};
  found.reference = compute_reference(run.model(), run.trainer->objective(), data, run.recipe().training,
                                      run.plan.execution, replicas, on_pass);
  if (path.empty() || !found.problem.empty()) return found;
  try {
    write_reference(path, found.reference);
  } catch (const Error& error) {
    found.problem = error.what();
  }
  return found;
}

}  // namespace

std::string prepare_references(const PlannedRun& run, const OnPass& on_pass) {
  if (!run.trainer->objective().needs_reference()) return "";
  const auto start = std::chrono::steady_clock::now();
  const std::string of_start = cache_directory(run.recipe().data.cache_dir).empty() ? "" : start_of(run);
  Found training = find_reference(run, of_start, run.prepared.train(), on_pass), validation;
  if (run.trainer->has_validation()) {
    validation = find_reference(run, of_start, run.prepared.data->validation, on_pass);
  }
  const bool cached = training.cached && (validation.cached || !run.trainer->has_validation());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const std::string problem = training.problem.empty() ? validation.problem : training.problem;
  run.trainer->set_references(std::move(training.reference), std::move(validation.reference));
  return fact("Reference", "log-probabilities under the model as it is at the start, " +
                               (cached ? "from the cache" : "computed in " + fixed(seconds.count(), 1) + " s") +
                               (problem.empty() ? "" : "; cache not used: " + problem));
}

}  // namespace lora
