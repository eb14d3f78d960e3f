#include "lora/app/source/trained_model.h"

#include <ATen/Parallel.h>

#include "lora/app/data/prepared_data.h"
#include "lora/app/source/trained_source.h"
#include "lora/app/training/machine.h"
#include "lora/log/log.h"
#include "lora/quantization/fetching.h"
#include "lora/quantization/quantizer.h"
#include "lora/terminal/busy.h"
#include "lora/terminal/text.h"
#include "lora/training/objective.h"
#include "models/base/error.h"
#include "models/base/thread_count.h"
#include "models/base/threads.h"
#include "models/engine/devices.h"
#include "models/io/safetensors.h"
#include "models/network/model_directory.h"
#include "models/network/pretrained.h"

namespace lora {

namespace fs = std::filesystem;

Labels choose_labels(const Recipe& recipe, const CacheOptions& cache) {
  if (recipe.model.head == Head::kNone) return {};
  if (!recipe.adapter.init_from.empty()) {
    LabelNames names = read_labels(recipe.adapter.init_from);
    if (!names.empty()) return Labels(std::move(names));
  }
  LabelNames names = read_model_config(recipe.model.path).labels;
  if (names.size() == 1) {
    throw ModelError(
        recipe.model.path +
        ": its head has one output, as a reward model's has; expected a classifier of at least two labels, "
        "or training.objective: reward");
  }
  if (names.empty() && trains_on_prepared(recipe.data)) names = prepared_labels(recipe.data.train.front().path);
  return Labels(names.empty() ? collect_labels(recipe.data.train, recipe.data, cache) : std::move(names));
}

LabelNames head_names(const Recipe& recipe, const Labels& labels) {
  return find_objective(recipe.training.objective).rewards ? LabelNames{"LABEL_0"} : labels.names();
}

namespace {

// Who waits for the model is told how many of its layers are encoded.
Quantizer told(const Quantizer& quantizer, int64_t layers) {
  if (!quantizer) return {};
  return [quantizer, layers](const std::string& path, const at::Tensor& weight, const at::Tensor& bias,
                             const ModelForm& model) {
    if (const auto layer = layer_of(path)) {
      Busy::tell(*layer, layers, "layer " + std::to_string(*layer + 1) + " of " + std::to_string(layers));
    }
    return quantizer(path, weight, bias, model);
  };
}

}  // namespace

std::shared_ptr<LlamaForCausalLM> load_model(const ModelSection& section, const Tokenizer& tokenizer, uint64_t seed,
                                             const LabelNames& labels, const NewRows& new_rows, at::Device device,
                                             bool fetched) {
  Quantizer quantizer = told(make_quantizer({section.quantization, section.double_quantization}),
                             read_model_config(section.path).num_hidden_layers);
  const auto blocks = fetched ? std::make_shared<HostBlocks>(device) : nullptr;
  if (fetched) quantizer = fetching(std::move(quantizer), blocks);
  HeadOptions head{labels, seed, new_rows};
  if (!section.new_tokens.empty()) {
    if (section.init == ModelInit::kRandom) {
      throw RecipeError(
          "model.new_tokens: with init: pretrained only; expected a config.json and a tokenizer that have "
          "the tokens already");
    }
    head.new_rows = drawn_rows(tokenizer.vocab_size(), section.new_tokens_init, seed);
    for (const std::string& name : section.new_tokens) head.new_tokens.push_back(tokenizer.id_of(name).value());
  }
  auto model = section.init == ModelInit::kRandom
                   ? make_random(section.path, section.dtype, seed, labels, quantizer, device)
                   : load_pretrained(section.path, section.dtype, head, quantizer, device);
  model->model->fetched = blocks;
  return model;
}

namespace {

// Bytes of a model's weights, of shapes alone.
int64_t weight_bytes(const ModelSection& section, const std::string& quantization) {
  const auto model = make_meta(section.path, section.dtype, read_model_config(section.path).labels,
                               make_quantizer({quantization, section.double_quantization}));
  int64_t bytes = 0;
  for (const at::Tensor& t : model->parameters()) bytes += static_cast<int64_t>(t.nbytes());
  for (const at::Tensor& t : model->buffers()) bytes += static_cast<int64_t>(t.nbytes());
  return bytes;
}

void expect_room_for_weights(at::Device device, const ModelSection& section) {
  const auto room = room_on_device(device);
  if (!room) return;
  const int64_t needed = weight_bytes(section, section.quantization);
  if (needed <= *room) return;
  std::string fits;
  for (const char* encoding : {"int8", "nf4"}) {
    if (section.quantization != "none") break;
    const int64_t bytes = weight_bytes(section, encoding);
    if (bytes < *room) fits += std::string("quantization ") + encoding + ", which takes " + as_bytes(bytes) + "; or ";
  }
  throw Error(ExitCode::kModel, "memory",
              device.str() + " has " + as_bytes(*room) + " free, and the weights of " + section.path + " take " +
                  as_bytes(needed) + "; expected " + fits + "--device cpu");
}

}  // namespace

at::Device device_for(const std::string& name, const ModelSection& section) {
  if (name != "auto") {
    const at::Device device = named_device(name);
    if (!device.is_cpu()) expect_room_for_weights(device, section);
    return device;
  }
  constexpr int64_t kBeside = 1'000'000'000;  // bytes
  const std::vector<at::Device> all = accelerators();
  if (all.empty()) return at::kCPU;
  const int64_t weights = weight_bytes(section, section.quantization);
  for (const at::Device device : all) {
    const auto memory = device_memory(device);
    if (memory && memory->free >= weights / 20 * 21 + kBeside) return device;
  }
  return at::kCPU;
}

std::string model_line(const LlamaForCausalLM& model) {
  const ModelConfig& config = model.config();
  std::string notes;
  for (const std::string& note : config.notes) notes += "\n" + note;
  return config.model_type + ", " + std::to_string(config.num_hidden_layers) + " layers, hidden " +
         std::to_string(config.hidden_size) + ", vocabulary " + std::to_string(config.vocab_size) + ", " +
         (config.labels.empty() ? "" : "classifier of " + std::to_string(config.labels.size()) + " labels, ") +
         dtype_name(model.dtype()) + (model.device().is_cpu() ? "" : ", on " + model.device().str()) + notes;
}

void set_threads(int64_t count) {
  expect_threads(count > 0 ? count : physical_cores());
  // TorchScript's rotary tables are vectorised, and the first such call of a process may be off where two threads make
  // it (see models/network/rope.cpp, seen of the cosine): one thread makes it.
  const at::Tensor x = at::ones({1});
  for (auto* const function : {at::cos, at::sin, at::tanh, at::exp, at::log}) function(x);
  at::set_num_threads(static_cast<int>(count > 0 ? count : physical_cores()));
  parallel_for(at::get_num_threads(), 1, [](int64_t, int64_t) {});  // starts them
  if (const std::string warning = slow_kernels(); !warning.empty()) log_warning(warning);
}

ExportSource export_source(const TrainedModel& trained, const ExportOptions& options) {
  return {trained.adapted, trained.section.path, trained.tokenizer->files(), trained.tokenizer.get(),
          options,         trained.chat};
}

TrainedModel load_base(const std::string& model_directory, const TrainedSource& source, const ModelSection& section,
                       uint64_t seed, const LabelNames& labels, const std::string& device) {
  if (model_directory.empty() || !fs::is_directory(model_directory)) {
    throw ModelError(source.directory.string() + ": its base model '" + model_directory +
                     "' is not a directory here; name the base model's directory with --model");
  }
  expect_model_directory(model_directory);
  ModelSection base = section;
  base.path = model_directory;
  TrainedModel trained;
  trained.section = base;
  trained.seed = seed;
  trained.tokenizer = tokenizer_of(source, model_directory);
  trained.chat = chat_of(source, *trained.tokenizer);
  trained.adapted.model =
      load_model(base, *trained.tokenizer, seed, labels, new_rows_of(source), device_for(device, base));
  return trained;
}

TrainedModel load_plain(const std::string& model_directory, const std::string& dtype, const std::string& device) {
  expect_model_directory(model_directory);
  TrainedModel plain;
  plain.section = {.path = model_directory, .dtype = dtype};
  plain.tokenizer = load_tokenizer(model_directory);
  plain.adapted.model = load_model(plain.section, *plain.tokenizer, 0, read_model_config(model_directory).labels, {},
                                   device_for(device, plain.section));
  plain.line = "model " + model_directory;
  return plain;
}

TrainedModel load_trained(const std::string& run_or_adapter, const std::string& model_path,
                          const std::vector<std::string>& ignored_options, const std::string& device) {
  return load_trained(find_trained(run_or_adapter, ignored_options), model_path, device);
}

TrainedModel load_trained(const TrainedSource& source, const std::string& model_path, const std::string& device) {
  const std::string base = model_path.empty() ? source.base_model : model_path;
  TrainedModel trained = load_base(base, source, source.recipe ? source.recipe->model : ModelSection{},
                                   source.recipe ? source.recipe->training.seed : 0, labels_of(source, base), device);
  trained.adapted = load_trained_into(source, trained.adapted.model);
  trained.line = (source.recipe ? "checkpoint " : "adapter ") + source.directory.string();
  return trained;
}

}  // namespace lora
