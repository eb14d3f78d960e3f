#include "lora/checkpoints/training_state.h"

#include <ATen/ATen.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "lora/adapters/peft.h"
#include "lora/adapters/registry.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"
#include "models/io/safetensors.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

bool has_adapter(const AdaptedModel& adapted) { return !find_method(adapted.config.method).trains_network; }

fs::path weights_file(const fs::path& directory, const AdaptedModel& adapted) {
  return directory / (has_adapter(adapted) ? "adapter_model.safetensors" : "model.safetensors");
}

int64_t bytes_of(const NamedTensors& tensors) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

std::string to_text(const Progress& progress) {
  ordered_json state = {
      {"step", progress.step},
      {"epoch", progress.place.epoch},
      {"row", progress.place.row},
      {"tokens", progress.tokens},
      {"supervised_tokens", progress.supervised_tokens},
      {"best_loss", std::isfinite(progress.best_loss) ? ordered_json(progress.best_loss) : ordered_json()},
      {"best_step", progress.best_step},
      {"evaluations_without_gain", progress.evaluations_without_gain},
      {"skipped_steps", progress.skipped_steps},
      {"skipped_in_row", progress.skipped_in_row},
  };
  if (progress.loss_scale > 0) {
    state["loss_scale"] = progress.loss_scale;
    state["steps_at_scale"] = progress.steps_at_scale;
  }
  return state.dump(2) + "\n";
}

// A count of what a run can have done: beyond 2^53 a JSON reader may round it.
int64_t count_of(const json& value) {
  const int64_t count = integer_of(value);
  if (count >= 0 && count < int64_t{1} << 53) return count;
  throw json::other_error::create(501, "expected a count, found " + value.dump(), &value);
}

Progress read_progress(const fs::path& path) {
  try {
    const json state = parse_json<json>(read_stored_file(path));
    Progress progress;
    progress.step = count_of(state.at("step"));
    progress.place.epoch = count_of(state.at("epoch"));
    progress.place.row = count_of(state.at("row"));
    progress.tokens = count_of(state.at("tokens"));
    progress.supervised_tokens = count_of(state.at("supervised_tokens"));
    if (!state.at("best_loss").is_null()) state.at("best_loss").get_to(progress.best_loss);
    progress.best_step = count_of(state.at("best_step"));
    progress.evaluations_without_gain = count_of(state.at("evaluations_without_gain"));
    // Not in the checkpoints of earlier versions, which skipped nothing.
    progress.skipped_steps = count_of(state.value("skipped_steps", json(0)));
    progress.skipped_in_row = count_of(state.value("skipped_in_row", json(0)));
    if (state.contains("loss_scale")) {
      state.at("loss_scale").get_to(progress.loss_scale);
      progress.steps_at_scale = count_of(state.at("steps_at_scale"));
    }
    if (progress.place.epoch > progress.step) {  // a step has rows of one epoch alone
      throw json::other_error::create(
          501, "epoch " + std::to_string(progress.place.epoch) + " after " + std::to_string(progress.step) + " steps",
          &state);
    }
    return progress;
  } catch (const json::exception& e) {
    throw StorageError(path.string() + ": not a checkpoint's state: " + e.what());
  }
}

// Pairs each tensor of `expected` with the tensor of the same name in the file.
std::vector<std::pair<at::Tensor, at::Tensor>> fitting(const fs::path& path, const NamedTensors& expected) {
  const SafetensorsFile file(path);
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs;
  for (const auto& [name, tensor] : expected) {
    if (!file.contains(name) || file.tensor(name).sizes() != tensor.sizes()) {
      throw StorageError(path.string() + ": '" + name + "' is missing or of another shape; is the recipe the same?");
    }
    const at::Tensor stored = file.tensor(name);
    if (!stored.isfinite().all().item<bool>()) {
      throw StorageError(path.string() + ": '" + name + "' has numbers that are not finite, which no run has saved");
    }
    pairs.emplace_back(tensor, stored);
  }
  return pairs;
}

}  // namespace

void write_training_state(const fs::path& directory, const AdaptedModel& adapted, Trainer& trainer,
                          const std::string& base_model, const std::string& recipe_yaml, const OnBytes& on_bytes) {
  const NamedTensors moments = trainer.optimizer().state(), method = trainer.hooks().state();
  const int64_t total = bytes_of(trained_tensors(adapted)) + bytes_of(moments) + bytes_of(method);
  int64_t done = 0;
  const auto on_tensor = [&](size_t bytes) {
    if (on_bytes) on_bytes(done += static_cast<int64_t>(bytes), total);
  };
  if (has_adapter(adapted)) {
    write_peft(directory, adapted, base_model, on_tensor);
  } else {
    write_safetensors(weights_file(directory, adapted), trained_tensors(adapted), {{"format", "pt"}}, on_tensor);
    write_labels(directory, adapted.model->config().labels);
  }
  write_safetensors(directory / "optimizer.safetensors", moments, {}, on_tensor);
  if (!method.empty()) write_safetensors(directory / "method.safetensors", method, {}, on_tensor);
  write_file_atomically(directory / "state.json", to_text(trainer.progress()));
  write_file_atomically(directory / "recipe.yaml", recipe_yaml);
}

void read_trained_weights(const fs::path& directory, const AdaptedModel& adapted) {
  load_trained_tensors(weights_file(directory, adapted), adapted);
}

void read_training_state(const fs::path& directory, const AdaptedModel& adapted, Trainer& trainer) {
  const at::NoGradGuard no_grad;
  if (read_labels(directory) != adapted.model->config().labels) {
    throw StorageError((directory / kLabelsFile).string() +
                       ": other labels than this run's; has the training data changed?");
  }
  const Progress progress = read_progress(directory / "state.json");
  const auto moments = fitting(directory / "optimizer.safetensors", trainer.optimizer().state());
  read_trained_weights(directory, adapted);
  for (const auto& [tensor, stored] : moments) tensor.copy_(stored);
  trainer.resume(progress);
  const NamedTensors state = trainer.hooks().state();  // its tensors depend on the step
  if (state.empty()) return;
  for (const auto& [tensor, stored] : fitting(directory / "method.safetensors", state)) tensor.copy_(stored);
}

}  // namespace lora
