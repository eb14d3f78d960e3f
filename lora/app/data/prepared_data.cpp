#include "lora/app/data/prepared_data.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lora/data/cache.h"
#include "lora/data/template_files.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/sha256.h"
#include "models/io/safetensors.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_manifest(const json& found) {
  const auto is_text = [](const json& value) { return value.is_string(); };
  const auto is_file = [](const json& file) {
    return file.is_object() && file.contains("sha256") && file["sha256"].is_string();
  };
  return found.is_object() && found.contains("format_version") && found["format_version"] == 1 &&
         found.contains("files") && found["files"].is_object() && std::ranges::all_of(found["files"], is_file) &&
         (!found.contains("labels") || (found["labels"].is_array() && std::ranges::all_of(found["labels"], is_text)));
}

json read_manifest(const std::string& directory) {
  const fs::path path = fs::path(directory) / "manifest.json";
  std::ifstream in(path, std::ios::binary);
  json manifest = parse_json_or_discard<json>(in);
  if (!is_manifest(manifest)) {
    throw DataError(path.string() + ": is not what lora-data prepare writes; expected a data file, or its directory");
  }
  return manifest;
}

void expect_alone(const char* list, const std::vector<DataSource>& sources) {
  for (const DataSource& source : sources) {
    if (!is_prepared(source.path)) continue;
    const std::string found = source.path + ": is prepared data, which ";
    if (sources.size() > 1) throw DataError(found + "has to be the only source of " + list);
    const DataSource plain;
    if (source.format != plain.format || source.fields != plain.fields || !source.chat_template.empty() ||
        source.train_on) {
      throw DataError(found + "is tokens with their masks; leave out format, fields, template and train_on");
    }
  }
}

bool has_prepared(const std::vector<DataSource>& sources) {
  return std::ranges::any_of(sources, [](const DataSource& source) { return is_prepared(source.path); });
}

// Throws where the tensors do not describe samples.
void expect_samples(const fs::path& path, const at::Tensor& ids, const at::Tensor& supervised, const at::Tensor& ends,
                    const at::Tensor& classes, int64_t labels) {
  const auto all_below = [](const at::Tensor& values, int64_t end) {
    const int32_t* first = values.const_data_ptr<int32_t>();
    return std::all_of(first, first + values.numel(), [&](int32_t value) { return value >= 0 && value < end; });
  };
  const bool shaped = ids.dim() == 1 && ids.scalar_type() == at::kInt && supervised.scalar_type() == at::kByte &&
                      supervised.sizes() == ids.sizes() && ends.dim() == 1 && ends.scalar_type() == at::kLong;
  int64_t last = 0;
  bool ordered = shaped;
  for (int64_t i = 0; ordered && i < ends.size(0); ++i) {
    const int64_t end = ends.const_data_ptr<int64_t>()[i];
    ordered = end > last && end <= ids.size(0);
    last = end;
  }
  ordered = ordered && last == ids.size(0) && all_below(ids, INT32_MAX);
  if (ordered && labels > 0) {
    ordered = classes.dim() == 1 && classes.scalar_type() == at::kInt && classes.size(0) == ends.size(0) &&
              all_below(classes, labels);
  }
  if (!ordered) {
    throw DataError(path.string() + ": its tensors are not input_ids, supervised and ends of samples");
  }
}

}  // namespace

bool is_prepared(const std::string& path) {
  std::error_code error;
  return path != "-" && fs::exists(fs::path(path) / "manifest.json", error);
}

bool trains_on_prepared(const DataConfig& data) {
  expect_alone("data.train", data.train);
  expect_alone("data.validation", data.validation);
  const bool train = has_prepared(data.train);
  if (!train && has_prepared(data.validation)) {
    throw DataError(data.validation.front().path +
                    ": is prepared data, which cannot be compared with the rows of data.train; expected rows in both, "
                    "or prepared data in data.train");
  }
  if (!train) return false;
  const std::string found = data.train.front().path + ": is prepared data, which ";
  if (data.streaming) throw DataError(found + "is read whole; leave out data.streaming");
  if (data.validation_split > 0) {
    throw DataError(found + "has no rows to split off; set data.validation_split where it is prepared");
  }
  return true;
}

LabelNames prepared_labels(const std::string& directory) {
  const json manifest = read_manifest(directory);
  return manifest.contains("labels") ? manifest["labels"].get<LabelNames>() : LabelNames{};
}

std::shared_ptr<const ChatTemplate> prepared_template(const std::string& directory, const Tokenizer& tokenizer) {
  const json manifest = read_manifest(directory);
  const auto expect = [&](bool as_written, const std::string& name) {
    if (as_written) return;
    throw DataError(directory + "/" + name + ": is not the file of its manifest.json; prepare it again");
  };
  for (const auto& [name, file] : manifest["files"].items()) {
    if (!name.ends_with(".jinja")) continue;
    const fs::path path = fs::path(directory) / name;
    expect(fs::is_regular_file(path) && file["sha256"] == sha256_of_file(path), name);
  }
  for (const fs::path& path : template_paths(directory)) {
    const std::string name = path.lexically_relative(directory).generic_string();
    expect(manifest["files"].contains(name), name);
  }
  return stored_chat_template(directory, tokenizer);
}

Dataset load_prepared(const std::string& directory, bool validation, const Tokenizer& tokenizer, int64_t max_length,
                      const Labels& labels) {
  const json manifest = read_manifest(directory);
  const std::string name = validation ? "validation.safetensors" : "train.safetensors";
  const fs::path path = fs::path(directory) / name;
  if (!manifest["files"].contains(name)) throw DataError(directory + ": holds no " + name);
  if (!manifest.contains("tokenizer")) {
    throw DataError(directory + ": an earlier version prepared it, which did not note the tokenizer; prepare it again");
  }
  if (manifest["tokenizer"] != tokenizer_identity(tokenizer)) {
    throw DataError(directory + ": was prepared with another tokenizer than the one of model.path; prepare it again");
  }
  if (manifest.value("labels", LabelNames{}) != labels.names()) {
    throw DataError(directory + ": was prepared for " +
                    (manifest.contains("labels") ? "a classifier of other labels" : "a language model") +
                    "; prepare it again with the model.head of this recipe");
  }
  const SourceFile file{path.string(), static_cast<int64_t>(fs::file_size(path)), sha256_of_file(path)};
  if (manifest["files"][name].value("sha256", "") != file.sha256) {
    throw DataError(path.string() + ": is not the file of its manifest.json; prepare it again");
  }

  const SafetensorsFile tensors(path);
  const at::Tensor ids = tensors.tensor("input_ids"), supervised = tensors.tensor("supervised"),
                   ends = tensors.tensor("ends");
  const at::Tensor classes = labels.empty() ? at::Tensor() : tensors.tensor("labels");
  expect_samples(path, ids, supervised, ends, classes, static_cast<int64_t>(labels.names().size()));
  Dataset dataset;
  dataset.begin_source(directory).format = "prepared";
  int64_t begin = 0;
  for (int64_t i = 0; i < ends.size(0); ++i) {
    const int64_t end = ends.const_data_ptr<int64_t>()[i], length = end - begin;
    if (length > max_length) {
      throw DataError(path.string() + ": sample " + std::to_string(i) + " has " + std::to_string(length) +
                      " tokens, more than training.max_length " + std::to_string(max_length) +
                      "; raise it, or prepare the data with it");
    }
    const auto size = static_cast<size_t>(length);
    dataset.add({{ids.const_data_ptr<int32_t>() + begin, size},
                 {supervised.const_data_ptr<uint8_t>() + begin, size},
                 classes.defined() ? classes.const_data_ptr<int32_t>()[i] : kNoLabel});
    begin = end;
  }
  dataset.last_source().counts.rows = dataset.size();
  dataset.edit_index().files = {file};
  return dataset;
}

}  // namespace lora
