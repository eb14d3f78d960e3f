#include "lora/app/source/adapted_base.h"

#include <algorithm>
#include <optional>

#include "lora/adapters/registry.h"
#include "lora/app/source/named_path.h"
#include "lora/app/source/trained_source.h"
#include "lora/log/log.h"
#include "models/base/error.h"
#include "models/network/model_directory.h"

namespace lora {
namespace {

struct NamedSource {
  NamedPath adapter;
  TrainedSource source;
};

bool is_whole_run(const TrainedSource& source) {
  return source.recipe && find_method(source.adapter.method).trains_network;
}

void expect_writes_text(const std::string& path, const TrainedSource& source) {
  if (!is_classifier(source)) return;
  throw ModelError(path + ": was trained as a classifier, which writes no text; lora-classify " + path + " asks it");
}

// What the model is, where it is a run or an adapter: that is then the first adapter, on its own base.
std::optional<TrainedSource> settle_model(AdaptedBaseOptions& options) {
  expect_no_recipe(options.model);
  if (!is_run_or_adapter(options.model)) {
    expect_model_directory(options.model);
    return {};
  }
  TrainedSource source = find_trained(options.model, options.ignored_options);
  if (is_whole_run(source)) {
    expect_writes_text(options.model, source);
    for (const auto& [name, given] :
         {std::pair("--dtype", options.dtype != "auto"), std::pair("--quantization", options.quantization != "auto")}) {
      if (given) throw RecipeError(std::string(name) + ": a run of method full has its recipe's; leave it out");
    }
    return source;
  }
  if (!std::filesystem::is_directory(source.base_model)) {
    throw ModelError(options.model + ": its base model '" + source.base_model +
                     "' is not a directory here; expected the base, then --adapter " + options.model);
  }
  options.adapters.insert(options.adapters.begin(), options.model);
  options.model = source.base_model;
  return source;
}

// `first`: what the first of them is, where the model was that.
std::vector<NamedSource> find_adapters(const AdaptedBaseOptions& options, const std::optional<TrainedSource>& first) {
  std::vector<NamedSource> found;
  for (const std::string& argument : options.adapters) {
    const NamedPath adapter = named_path(argument);
    if (std::ranges::any_of(found, [&](const NamedSource& one) { return one.adapter.name == adapter.name; })) {
      throw AdapterError("two adapters are called '" + adapter.name + "'; name them apart: --adapter NAME=PATH");
    }
    const bool is_first = first && !is_whole_run(*first) && found.empty();
    found.push_back({adapter, is_first ? *first : find_trained(adapter.path, options.ignored_options)});
    expect_writes_text(adapter.path, found.back().source);
  }
  return found;
}

// How the base is loaded. float16 is for training on GPUs alone.
ModelSection section_of(const AdaptedBaseOptions& options, const std::optional<TrainedSource>& first) {
  ModelSection section{.path = options.model, .dtype = options.dtype, .quantization = options.quantization};
  const ModelSection trained = first && first->recipe ? first->recipe->model : ModelSection{};
  if (section.dtype == "auto" && trained.dtype != "float16") section.dtype = trained.dtype;
  if (section.quantization == "auto") section.quantization = trained.quantization;
  section.double_quantization = trained.double_quantization;
  return section;
}

// The model that they share, with the tokens that one of them adds.
TrainedModel load_shared(const AdaptedBaseOptions& options, const std::optional<TrainedSource>& first,
                         const std::vector<NamedSource>& adapters) {
  if (first && is_whole_run(*first)) return load_trained(*first, "", options.device);
  const NamedSource* adding = nullptr;
  auto tokenizer = load_tokenizer(options.model);
  const int64_t rows = read_model_config(options.model).vocab_size;
  for (const NamedSource& one : adapters) {
    const bool adds = one.source.recipe
                          ? !one.source.recipe->model.new_tokens.empty()
                          : new_rows_of(one.source).rows > rows || larger_tokenizer(one.source, *tokenizer) != nullptr;
    if (!adds) continue;
    if (adding) {
      throw AdapterError("'" + adding->adapter.name + "' and '" + one.adapter.name +
                         "' both have tokens of their own; expected one such adapter at a time");
    }
    adding = &one;
  }
  ModelSection section = section_of(options, first);
  if (adding && adding->source.recipe) {
    section.new_tokens = adding->source.recipe->model.new_tokens;
    section.new_tokens_init = adding->source.recipe->model.new_tokens_init;
  }
  if (adding) {
    const uint64_t seed = adding->source.recipe ? adding->source.recipe->training.seed : 0;
    return load_base(options.model, adding->source, section, seed, {}, options.device);
  }
  TrainedModel base;
  base.section = section;
  base.tokenizer = std::move(tokenizer);
  base.adapted.model = load_model(section, *base.tokenizer, 0, {}, {}, device_for(options.device, section));
  return base;
}

void add_source(AdaptedBase& base, const NamedSource& one) {
  const auto& [adapter, source] = one;
  if (!may_be_same_base(source.base_model, base.model)) {
    log_warning(adapter.path + " was trained on '" + source.base_model + "', and this is '" + base.model + "'");
  }
  const std::string& quantization = base.shared.section.quantization;
  if (source.recipe && source.recipe->model.quantization != quantization && !is_whole_run(source)) {
    log_info(adapter.path + " was trained with quantization: " + source.recipe->model.quantization +
             ", and answers with " + quantization + " (--quantization)");
  }
  load_trained_into(source, base.set, adapter.name);
  base.set.deactivate();
  base.templates[adapter.name] = template_of(source);
}

}  // namespace

AdaptedBase load_adapted_base(const AdaptedBaseOptions& given) {
  AdaptedBaseOptions options = given;
  const std::optional<TrainedSource> first = settle_model(options);
  const std::vector<NamedSource> adapters = find_adapters(options, first);
  TrainedModel shared = load_shared(options, first, adapters);
  const auto model = shared.adapted.model;
  AdaptedBase base{.shared = std::move(shared), .set = AdapterSet(model), .model = options.model, .templates = {}};
  base.templates[""] = first && is_whole_run(*first) ? template_of(*first) : "auto";
  for (const NamedSource& one : adapters) add_source(base, one);
  model->eval();
  return base;
}

std::string add_adapter_to(AdaptedBase& base, const std::string& argument,
                           const std::vector<std::string>& ignored_options) {
  const NamedPath adapter = named_path(argument);
  TrainedSource source = find_trained(adapter.path, ignored_options);
  expect_writes_text(adapter.path, source);
  if (is_whole_run(source)) throw AdapterError(adapter.path + ": trained the whole network; it is not an adapter");
  add_source(base, {adapter, std::move(source)});
  base.set.model()->eval();
  return adapter.name;
}

}  // namespace lora
