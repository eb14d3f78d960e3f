#include "lora/app/data/data_prepare.h"

#include <ATen/ops/empty.h>

#include <nlohmann/json.hpp>

#include "lora/app/data/recipe_data.h"
#include "lora/data/cache.h"
#include "lora/data/chat_template.h"
#include "lora/data/encode_options.h"
#include "lora/data/template_files.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/sha256.h"
#include "models/io/safetensors.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

NamedTensors tensors_of(const Dataset& dataset) {
  const at::Tensor ids = at::empty({dataset.tokens()}, at::kInt), supervised = at::empty({dataset.tokens()}, at::kByte);
  const at::Tensor ends = at::empty({dataset.size()}, at::kLong), labels = at::empty({dataset.size()}, at::kInt);
  auto* id = ids.mutable_data_ptr<int32_t>();
  auto* trained = supervised.mutable_data_ptr<uint8_t>();
  int64_t end = 0;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const SampleView sample = dataset[i];
    id = std::copy(sample.ids.begin(), sample.ids.end(), id);
    trained = std::copy(sample.supervised.begin(), sample.supervised.end(), trained);
    ends.mutable_data_ptr<int64_t>()[i] = end += sample.length();
    labels.mutable_data_ptr<int32_t>()[i] = sample.label;
  }
  NamedTensors tensors = {{"input_ids", ids}, {"supervised", supervised}, {"ends", ends}};
  if (dataset.size() > 0 && dataset[0].label != kNoLabel) tensors.emplace_back("labels", labels);
  return tensors;
}

}  // namespace

std::string write_prepared(const StudiedData& data, const Tokenizer& tokenizer, const fs::path& directory) {
  if (const auto& recipe = data.study.recipe; learns_preferences(recipe.data.trains)) {
    throw RecipeError("training.objective: data for " + recipe.training.objective +
                      " is not prepared; lora-train keeps it in its cache");
  }
  const fs::path manifest_path = directory / "manifest.json";
  if (fs::exists(manifest_path)) {
    throw StorageError(manifest_path.string() + ": is there already; expected a directory without prepared data");
  }
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw_storage_error(directory, "be created", error.value());

  nlohmann::ordered_json manifest = {{"format_version", 1},
                                     {"max_length", data.study.recipe.training.max_length},
                                     {"tokenizer", tokenizer_identity(tokenizer)},
                                     {"sources", nlohmann::ordered_json::array()}};
  if (!data.labels.empty()) manifest["labels"] = data.labels;
  for (const SourceStudy& source : data.study.sources) {
    manifest["sources"].push_back({{"path", source.path},
                                   {"data", source.validation ? "validation" : "train"},
                                   {"rows", source.counts.rows},
                                   {"dropped", source.counts.filtered},
                                   {"samples", source.counts.samples},
                                   {"tokens", source.counts.tokens},
                                   {"supervised_tokens", source.counts.supervised}});
  }
  std::vector<std::vector<std::string>> written;
  const auto note = [&](const std::string& name, const std::string& what) {
    const auto size = static_cast<int64_t>(fs::file_size(directory / name));
    manifest["files"][name] = {{"size", size}, {"sha256", sha256_of_file(directory / name)}};
    written.push_back({"wrote", (directory / name).string(), as_bytes(size), what});
  };
  const auto write = [&](const std::string& name, const Dataset& dataset) {
    if (dataset.size() == 0) return;
    write_safetensors(directory / name, tensors_of(dataset), {{"tokenizer", data.study.recipe.model.path}});
    note(name, with_commas(dataset.size()) + " samples");
  };
  write("train.safetensors", data.train);
  write("validation.safetensors", data.validation);
  // An export of a run on the data carries it.
  if (const auto chat = trained_template(data.study.recipe.data,
                                         sources_as_found(data.study.recipe.data.train, data.train), tokenizer)) {
    write_template_files(directory, chat->files());
    for (const fs::path& path : template_paths(directory)) {
      note(path.lexically_relative(directory).generic_string(), "chat template, " + chat->name());
    }
  }
  write_file_atomically(directory / "findings.jsonl", findings_jsonl(data.study.cleaning));
  note("findings.jsonl", with_commas(static_cast<int64_t>(data.study.cleaning.findings.size())) + " findings");
  write_file_atomically(manifest_path, manifest.dump(2) + "\n");
  return plain_table(written, {false, false, true, false});
}

}  // namespace lora
