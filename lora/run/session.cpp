#include "lora/run/session.h"

#include <ATen/Parallel.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lora/adapters/peft.h"
#include "lora/checkpoints/store.h"
#include "lora/checkpoints/training_state.h"
#include "lora/quantization/quantizer.h"
#include "lora/run/machine.h"
#include "models/error.h"
#include "models/io/safetensors.h"
#include "models/pretrained.h"

namespace lora {

namespace fs = std::filesystem;

Labels choose_labels(const Recipe& recipe) {
  if (recipe.model.head == "none") return {};
  if (!recipe.adapter.init_from.empty()) {
    LabelNames names = read_labels(recipe.adapter.init_from);
    if (!names.empty()) return Labels(std::move(names));
  }
  LabelNames names = read_model_config(recipe.model.path).labels;
  return Labels(names.empty() ? collect_labels(recipe.data.train) : std::move(names));
}

std::shared_ptr<LlamaForCausalLM> load_model(const ModelSection& section, const Tokenizer& tokenizer, uint64_t seed,
                                             const LabelNames& labels) {
  const Quantizer quantizer = make_quantizer({section.quantization, section.double_quantization});
  auto model = section.init == "random" ? make_random(section.path, section.dtype, seed, labels, quantizer)
                                        : load_pretrained(section.path, section.dtype, {labels, seed}, quantizer);
  if (tokenizer.vocab_size() > model->config().vocab_size) {
    throw ModelError(section.path + ": the tokenizer has " + std::to_string(tokenizer.vocab_size()) +
                     " ids, config.json a 'vocab_size' of " + std::to_string(model->config().vocab_size) +
                     "; wanted at least as many");
  }
  return model;
}

std::string model_line(const LlamaForCausalLM& model) {
  const ModelConfig& config = model.config();
  return config.model_type + ", " + std::to_string(config.num_hidden_layers) + " layers, hidden " +
         std::to_string(config.hidden_size) + ", vocabulary " + std::to_string(config.vocab_size) + ", " +
         (config.labels.empty() ? "" : "classifier of " + std::to_string(config.labels.size()) + " labels, ") +
         (model.dtype() == at::kBFloat16 ? "bfloat16" : "float32");
}

void set_threads(int64_t wanted) { at::set_num_threads(static_cast<int>(wanted > 0 ? wanted : physical_cores())); }

ExportSource export_source(const Session& session, const AdapterConfig& adapter, const std::string& model_directory) {
  return {*session.model, session.adaptation, adapter, model_directory, session.tokenizer->files()};
}

namespace {

// Of an adapter that PEFT wrote, which knows the number of labels alone, unless its base is a classifier.
LabelNames adapter_labels(const fs::path& directory, const PeftAdapter& adapter, const fs::path& base) {
  LabelNames names = read_labels(directory);
  if (!names.empty() || adapter.task_type != "SEQ_CLS") return names;
  names = read_model_config(base).labels;
  if (!names.empty()) return names;
  const SafetensorsFile weights(directory / "adapter_model.safetensors");
  const char* head = "base_model.model.score.weight";
  if (!weights.contains(head)) throw ModelError(directory.string() + ": tensor '" + head + "' is missing");
  for (int64_t id = 0; id < weights.tensor(head).size(0); ++id) names.push_back("LABEL_" + std::to_string(id));
  return names;
}

TrainedModel load_peft_directory(const fs::path& directory, const std::string& model_path) {
  PeftAdapter peft = read_peft_config(directory);
  const std::string base = model_path.empty() ? peft.base_model : model_path;
  if (base.empty() || !fs::is_directory(base)) {
    throw ModelError(directory.string() + ": its base model '" + base +
                     "' is not a directory here; name the base model's directory with --model");
  }
  TrainedModel trained;
  trained.model.path = base;
  trained.session.tokenizer = load_tokenizer(base);
  trained.session.model =
      load_model({.path = base}, *trained.session.tokenizer, 0, adapter_labels(directory, peft, base));
  trained.adapter = peft.config;
  trained.adapter.init_from = directory.string();
  trained.session.adaptation = inject(*trained.session.model, trained.adapter, 0);
  trained.line = "adapter " + directory.string();
  return trained;
}

TrainedModel load_checkpoint(const fs::path& directory, const std::string& model_path) {
  Recipe recipe = load_recipe(directory / "recipe.yaml");
  if (!model_path.empty()) recipe.model.path = model_path;
  TrainedModel trained;
  trained.model = recipe.model;
  trained.seed = recipe.training.seed;
  trained.session.tokenizer = load_tokenizer(recipe.model.path);
  trained.session.model =
      load_model(recipe.model, *trained.session.tokenizer, recipe.training.seed, read_labels(directory));
  trained.adapter = recipe.adapter;
  // The one thing of the adapter that follows from the run's data, not from its recipe alone.
  if (recipe.adapter.method == "adalora") {
    trained.adapter.adalora.total_step = read_peft_config(directory).config.adalora.total_step;
  }
  AdapterConfig adapter = recipe.adapter;
  adapter.init_from.clear();  // the checkpoint's weights follow
  trained.session.adaptation = inject(*trained.session.model, adapter, recipe.training.seed, /*fresh=*/false);
  read_trained_weights(directory, *trained.session.model, trained.session.adaptation);
  trained.line = "checkpoint " + directory.string();
  return trained;
}

fs::path chosen_checkpoint(const fs::path& run) {
  CheckpointStore store(run);
  const auto newest = store.newest_whole().checkpoint;
  if (!newest) throw StorageError(run.string() + ": no whole checkpoint in this run");
  if (!load_recipe(newest->directory / "recipe.yaml").training.keep_best) return newest->directory;
  std::ifstream in(newest->directory / "state.json", std::ios::binary);
  const int64_t best = nlohmann::json::parse(in).value("best_step", int64_t{0});
  return best > 0 ? store.verified(best) : newest->directory;
}

}  // namespace

TrainedModel load_trained(const std::string& run_or_adapter, const std::string& model_path) {
  const fs::path path = run_or_adapter;
  if (fs::exists(path / "checkpoints")) return load_checkpoint(chosen_checkpoint(path), model_path);
  if (fs::exists(path / "state.json") && fs::exists(path / "recipe.yaml")) return load_checkpoint(path, model_path);
  if (fs::exists(path / "adapter_config.json")) return load_peft_directory(path, model_path);
  throw StorageError(path.string() + ": neither a run directory with checkpoints nor a PEFT adapter directory");
}

}  // namespace lora
