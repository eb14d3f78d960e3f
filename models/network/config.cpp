#include "models/network/config.h"
#include "models/base/json.h"

#include <nlohmann/json.hpp>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/file_kind.h"
#include "models/base/read_file.h"
#include "models/network/config_fields.h"
#include "models/network/families/families.h"

namespace lora {
namespace {

using nlohmann::json;

const Family& family_of(const Fields& fields) {
  const std::string type = fields.text("model_type", "");
  if (const Family* family = find_family(type)) return *family;
  if (type == "gemma3") {
    fields.fail("model_type", "is 'gemma3', which sees images too; expected its text model alone, a 'gemma3_text'");
  }
  std::string names;
  std::vector<std::string> known;
  for (const Family& family : families()) {
    known.emplace_back(family.model_type);
    names += (names.empty() ? "" : ", ") + known.back();
  }
  fields.fail("model_type", "is '" + type + "'; supported are " + names + did_you_mean(type, known));
}

// The labels of a …ForSequenceClassification. transformers does not write its default of two labels.
LabelNames configured_labels(const Fields& fields, const Family& family, const std::string& where) {
  if (!fields.has("architectures")) return {};
  const json& names = fields["architectures"];
  if (!names.is_array() || names.empty() || !names[0].is_string()) return {};
  const std::string architecture = names[0].get<std::string>();
  if (!architecture.ends_with("ForSequenceClassification")) return {};
  if (architecture != family.classifier) {
    fields.fail("architectures", "is '" + architecture + "', which transformers does not have for '" +
                                     std::string(family.model_type) + "'");
  }
  const std::string problem = fields.text("problem_type", "single_label_classification");
  if (problem != "single_label_classification") {
    fields.fail("problem_type", "is '" + problem + "'; supported is single_label_classification");
  }
  return fields.has("id2label") ? parse_id2label(fields["id2label"], where) : LabelNames{"LABEL_0", "LABEL_1"};
}

}  // namespace

ModelConfig parse_model_config(const std::string& text, const std::string& where) {
  json object;
  try {
    object = parse_json<json>(text);
  } catch (const json::exception& e) {
    const std::string kind = file_kind(text);
    throw ModelError(where + (kind.empty() ? ": not valid JSON: " + std::string(e.what())
                                           : ": is " + kind + "; expected a JSON file"));
  }
  if (!object.is_object())
    throw ModelError(where + ": found " + std::string(object.type_name()) + "; expected an object");

  const Fields fields(object, where);
  const Family& family = family_of(fields);
  if (fields.has("quantization_config")) {
    fields.fail("quantization_config", "is set; expected weights as float32, float16, bfloat16 or plain float8");
  }
  ModelConfig config = family.read(fields);
  config.model_type = family.model_type;
  config.dtype = fields.text("dtype", fields.text("torch_dtype", "float32"));
  config.labels = configured_labels(fields, family, where);
  return config;
}

ModelConfig read_model_config(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored) || std::filesystem::is_directory(file, ignored)) {
    throw ModelError(directory.string() + ": no readable config.json; expected a Hugging Face model directory");
  }
  return parse_model_config(read_file(file), file.string());
}

}  // namespace lora
