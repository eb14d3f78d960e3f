#include "lora/export/trained_chat.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lora/data/chat_template.h"
#include "lora/data/whole_sample.h"
#include "models/base/atomic_file.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char *kGenerationFile = "generation_config.json", *kEndsKey = "eos_token_id";

ordered_json object_in(const fs::path& path) {
  try {
    ordered_json object = parse_json<ordered_json>(read_file(path));
    if (object.is_object()) return object;
  } catch (const ordered_json::exception& e) {
    throw ModelError(path.string() + ": not valid JSON: " + e.what());
  }
  throw ModelError(path.string() + ": expected a JSON object");
}

// The generation config of a directory; without one, what transformers makes of config.json.
ordered_json generation_config(const fs::path& directory, const fs::path& model_directory) {
  if (fs::exists(directory / kGenerationFile)) return object_in(directory / kGenerationFile);
  const ordered_json config = object_in(model_directory / "config.json");
  // Not marked as derived (_from_model_config): transformers would then derive it anew, with the old ends.
  ordered_json generation = ordered_json::object();
  for (const char* key : {"bos_token_id", kEndsKey, "pad_token_id"}) {
    if (config.contains(key) && !config[key].is_null()) generation[key] = config[key];
  }
  return generation;
}

}  // namespace

TemplateFiles exported_templates(const ExportSource& source) {
  return source.chat ? source.chat->files() : read_template_files(source.tokenizer_directory());
}

std::vector<int64_t> turn_ends(const ExportSource& source) {
  if (!source.chat || !source.tokenizer) return {};
  std::vector<int64_t> ends;
  try {
    for (const int64_t id : end_of_turn_ids(*source.tokenizer, *source.chat)) {
      if (std::ranges::count(ends, id) == 0) ends.push_back(id);
    }
  } catch (const DataError&) {  // chat_line() says so
  }
  return ends;
}

void write_chat_template(const ExportSource& source, const fs::path& directory) {
  const TemplateFiles templates = exported_templates(source);
  if (!templates.text.empty()) write_template_files(directory, templates);
}

void write_generation_ends(const ExportSource& source, const fs::path& directory) {
  const std::vector<int64_t> ends = turn_ends(source);
  if (ends.empty()) return;
  ordered_json config = generation_config(directory, source.model_directory);
  const ordered_json before = config.value(kEndsKey, ordered_json());
  ordered_json ids = before.is_array()  ? before
                     : before.is_null() ? ordered_json::array()
                                        : ordered_json::array({before});
  for (const int64_t id : ends) {
    if (std::ranges::count(ids, ordered_json(id)) == 0) ids.push_back(id);
  }
  const ordered_json after = ids.size() == 1 ? ids[0] : ids;
  if (after == before) return;
  config[kEndsKey] = after;
  write_file_atomically(directory / kGenerationFile, config.dump(2) + "\n");
}

std::string chat_line(const ExportSource& source) {
  if (!source.chat) return "";
  std::vector<std::string> names;
  for (const int64_t id : turn_ends(source)) names.push_back(source.tokenizer->piece(id));
  const std::string ends =
      names.empty() ? "the token that ends an answer is not known" : "answers end with " + listed(names);
  return "; " + ends + ", chat template " + source.chat->name();
}

}  // namespace lora
