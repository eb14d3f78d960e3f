#include "lora/app/source/trained_source.h"

#include <nlohmann/json.hpp>
#include <set>

#include "lora/adapters/inject.h"
#include "lora/adapters/peft.h"
#include "lora/adapters/registry.h"
#include "lora/checkpoints/store.h"
#include "lora/checkpoints/training_state.h"
#include "lora/data/encode_options.h"
#include "lora/data/template_files.h"
#include "lora/log/log.h"
#include "lora/training/objective.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"
#include "models/io/safetensors.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

TrainedSource checkpoint_source(const fs::path& directory) {
  TrainedSource source{directory, "", {}, load_stored_recipe(directory / "recipe.yaml")};
  source.base_model = source.recipe->model.path;
  source.adapter = source.recipe->adapter;
  // The one thing of the adapter that follows from the run's data, not from its recipe alone.
  if (find_method(source.adapter.method).follows_run_length) {
    source.adapter.adalora.total_step = read_peft_config(directory).config.adalora.total_step;
  }
  return source;
}

fs::path chosen_checkpoint(const fs::path& run) {
  CheckpointStore store(run);
  const auto newest = store.newest_whole().checkpoint;
  if (!newest) throw StorageError(run.string() + ": no whole checkpoint in this run");
  if (!load_stored_recipe(newest->directory / "recipe.yaml").training.keep_best) return newest->directory;
  const std::string state = read_stored_file(newest->directory / "state.json");
  const int64_t best = integer_of(parse_json<nlohmann::json>(state).value("best_step", nlohmann::json(0)));
  return best > 0 ? store.verified(best) : newest->directory;
}

// The first folder in `path` that holds an entry of this name; empty where there is none.
std::string folder_with(const fs::path& path, const char* entry) {
  std::set<std::string> folders;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(path, ignored)) {
    if (fs::exists(item.path() / entry)) folders.insert(item.path().string());
  }
  return folders.empty() ? "" : *folders.begin();
}

AdapterConfig injected(const TrainedSource& source) {
  AdapterConfig config = source.adapter;
  if (!source.recipe) return config;
  config.init_from.clear();  // the checkpoint's weights follow
  // The model may have new tokens of another run: as of a file, their rows are not taken for this one's.
  if (source.recipe->model.new_tokens.empty()) config.file = (source.directory / kPeftConfigFile).string();
  return config;
}

uint64_t seed_of(const TrainedSource& source) { return source.recipe ? source.recipe->training.seed : 0; }

// What is passed over is said.
void report_notes(const AdaptedModel& adapted) {
  if (adapted.notes.empty()) return;
  log_warning(adapted.config.file +
              ": these match nothing in the model and are passed over: " + listed(adapted.notes, adapted.notes.size()));
}

std::string last_part(const std::string& path) {
  const fs::path plain = fs::path(path).lexically_normal();
  return (plain.has_filename() ? plain : plain.parent_path()).filename().string();
}

}  // namespace

bool is_model(const std::string& path) {
  return fs::exists(fs::path(path) / "config.json") && !fs::exists(fs::path(path) / "adapter_config.json");
}

bool is_run_or_adapter(const std::string& run_or_adapter) {
  const fs::path path = run_or_adapter;
  if (is_model(run_or_adapter)) return false;
  return fs::exists(path / "checkpoints") || fs::exists(path / "adapter_config.json") ||
         (fs::exists(path / "state.json") && fs::exists(path / "recipe.yaml")) ||
         !folder_with(path, "checkpoints").empty();
}

void expect_no_recipe(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  if (!fs::is_regular_file(path) || (extension != ".yaml" && extension != ".yml")) return;
  std::string run;
  try {
    run = ", such as this recipe's output_dir " + load_recipe(path).output_dir;
  } catch (const Error&) {  // another YAML file, or a recipe that cannot be read
  }
  throw RecipeError(path + ": is a recipe; expected a directory: of a model, of an adapter or of a run" + run);
}

TrainedSource find_trained(const std::string& run_or_adapter, const std::vector<std::string>& ignored_options) {
  const fs::path path = run_or_adapter;
  expect_no_recipe(run_or_adapter);
  if (fs::exists(path / "checkpoints")) return checkpoint_source(chosen_checkpoint(path));
  if (fs::exists(path / "state.json") && fs::exists(path / "recipe.yaml")) return checkpoint_source(path);
  if (!fs::exists(path / "adapter_config.json")) {
    if (const std::string one = folder_with(path, "checkpoints"); !one.empty()) {
      throw StorageError(path.string() + ": a run of several adapters; expected the folder of one, such as " + one);
    }
    expect_no_mlx_adapter(path);
    const std::string inner = folder_with(path, "adapter_config.json");
    throw StorageError(path.string() + ": neither a run directory with checkpoints nor a PEFT adapter directory" +
                       (inner.empty() ? "" : "; did you mean " + inner + "?"));
  }
  const PeftAdapter peft = read_peft_config(path, ignored_options);
  expect_peft_weights(path);
  TrainedSource source{path, peft.base_model, peft.config, {}};
  source.adapter.init_from = path.string();
  return source;
}

bool is_classifier(const TrainedSource& source) {
  if (source.recipe) {
    return source.recipe->model.head != Head::kNone || find_objective(source.recipe->training.objective).rewards;
  }
  return read_peft_config(source.directory, source.adapter.ignored_options).task_type == "SEQ_CLS";
}

LabelNames labels_of(const TrainedSource& source, const std::string& base) {
  LabelNames names = read_labels(source.directory);
  if (!names.empty() || source.recipe || !is_classifier(source)) return names;
  // PEFT's own files know the number of labels alone, unless the base is a classifier.
  names = read_model_config(base).labels;
  if (!names.empty()) return names;
  const SafetensorsFile weights(source.directory / kPeftWeightsFile);
  const char* head = "base_model.model.score.weight";
  if (!weights.contains(head)) throw ModelError(source.directory.string() + ": tensor '" + head + "' is missing");
  for (int64_t id = 0; id < weights.tensor(head).size(0); ++id) names.push_back("LABEL_" + std::to_string(id));
  return names;
}

std::unique_ptr<Tokenizer> larger_tokenizer(const TrainedSource& source, const Tokenizer& base) {
  const auto has = [&](const char* name) { return fs::exists(source.directory / name); };
  if (!has("tokenizer.json") && !has("tokenizer.model") && !has("vocab.json")) return nullptr;
  try {
    auto own = load_tokenizer(source.directory);
    return own->vocab_size() > base.vocab_size() ? std::move(own) : nullptr;
  } catch (const ModelError& e) {
    log_warning(source.directory.string() + ": its tokenizer is passed over for the base's: " + e.what());
    return nullptr;
  }
}

std::unique_ptr<Tokenizer> tokenizer_of(const TrainedSource& source, const std::string& base) {
  if (source.recipe) return load_tokenizer(base, source.recipe->model.new_tokens);
  auto tokenizer = load_tokenizer(base);
  auto own = larger_tokenizer(source, *tokenizer);
  return own ? std::move(own) : std::move(tokenizer);
}

NewRows new_rows_of(const TrainedSource& source) {
  return source.recipe ? NewRows{} : peft_rows(source.directory, source.adapter);
}

std::string template_of(const TrainedSource& source) {
  std::string chosen = "auto";
  if (source.recipe) {
    const DataConfig& data = source.recipe->data;
    const bool own = !data.train.empty() && !data.train.front().chat_template.empty();
    chosen = own ? data.train.front().chat_template : data.chat_template;
    // A name says more to a person than the file; a file of the recipe's may have changed.
    if (chosen != "auto" && !is_template_path(chosen)) return chosen;
  }
  const TemplateFiles stored = read_template_files(source.directory);
  if (stored.text.empty()) return chosen;
  return is_template_path(stored.where) ? (source.directory / stored.where).string() : stored.text;
}

std::shared_ptr<const ChatTemplate> chat_of(const TrainedSource& source, const Tokenizer& tokenizer) {
  try {
    if (auto stored = stored_chat_template(source.directory, tokenizer)) return stored;
    if (!source.recipe) return nullptr;
    // An earlier version's checkpoint. Which format a source of format auto had is not known.
    std::vector<DataSource> sources = source.recipe->data.train;
    std::erase_if(sources, [](const DataSource& one) { return one.format == "auto"; });
    return trained_template(source.recipe->data, sources, tokenizer);
  } catch (const ModelError& e) {
    log_warning(source.directory.string() + ": its chat template is passed over for the base's: " + e.what());
  }
  return nullptr;
}

AdaptedModel load_trained_into(const TrainedSource& source, std::shared_ptr<LlamaForCausalLM> model) {
  AdaptedModel adapted = inject(std::move(model), injected(source), seed_of(source), /*fresh=*/false);
  if (source.recipe) read_trained_weights(source.directory, adapted);
  report_notes(adapted);
  return adapted;
}

void load_trained_into(const TrainedSource& source, AdapterSet& set, const std::string& name) {
  const AdaptedModel& adapted = set.add(name, injected(source), seed_of(source), /*fresh=*/false);
  if (source.recipe) read_trained_weights(source.directory, adapted);
  report_notes(adapted);
}

bool may_be_same_base(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return a.empty() || b.empty() || fs::equivalent(a, b, ignored) || last_part(a) == last_part(b);
}

}  // namespace lora
