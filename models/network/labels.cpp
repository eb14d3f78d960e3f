#include "models/network/labels.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

#include <nlohmann/json.hpp>
#include <set>

#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

LabelNames parse_id2label(const json& id2label, const std::string& where) {
  const auto fail = [&](const std::string& message) { throw ModelError(where + ": 'id2label' " + message); };
  if (!id2label.is_object()) fail("is " + std::string(id2label.type_name()) + "; expected an object of id: name");
  if (id2label.empty()) fail("names no label; expected those of a classification, or the one of a reward model");
  LabelNames names;
  std::set<std::string> seen;
  for (size_t id = 0; id < id2label.size(); ++id) {
    const auto found = id2label.find(std::to_string(id));
    if (found == id2label.end()) fail("has no \"" + std::to_string(id) + "\"; expected the ids from 0 on");
    if (!found->is_string() || found->get<std::string>().empty()) {
      fail("gives \"" + std::to_string(id) + "\" the name " + found->dump() + "; expected a string");
    }
    names.push_back(*found);
    if (!seen.insert(names.back()).second) fail("gives two ids the name '" + names.back() + "'");
  }
  return names;
}

void set_labels(ordered_json& config, const LabelNames& names) {
  ordered_json id2label = ordered_json::object(), label2id = ordered_json::object();
  for (size_t id = 0; id < names.size(); ++id) {
    id2label[std::to_string(id)] = names[id];
    label2id[names[id]] = id;
  }
  config["id2label"] = std::move(id2label);
  config["label2id"] = std::move(label2id);
}

void write_labels(const fs::path& directory, const LabelNames& names) {
  if (names.empty()) return;
  ordered_json file = ordered_json::object();
  set_labels(file, names);
  write_file_atomically(directory / kLabelsFile, file.dump(2) + "\n");
}

LabelNames read_labels(const fs::path& directory) {
  const fs::path path = directory / kLabelsFile;
  if (!fs::exists(path)) return {};
  const json file = parse_json_or_discard<json>(read_file(path));
  if (!file.is_object() || !file.contains("id2label")) {
    throw ModelError(path.string() + ": expected a JSON object with 'id2label'");
  }
  return parse_id2label(file["id2label"], path.string());
}

}  // namespace lora
