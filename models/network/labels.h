#pragma once
// The names of a classification head's rows, in their order: Hugging Face's id2label, in config.json or in a file of
// its own beside weights whose format has no place for it (a PEFT adapter, a checkpoint).

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace lora {

using LabelNames = std::vector<std::string>;

constexpr const char* kLabelsFile = "labels.json";

// {"0": "a", "1": "b"} -> names. Ids must be 0 to n − 1, names distinct and not empty, at least two of them; else
// ModelError that begins with `where`.
LabelNames parse_id2label(const nlohmann::json& id2label, const std::string& where);

// Sets "id2label" and "label2id", as transformers writes them.
void set_labels(nlohmann::ordered_json& config, const LabelNames& names);

// DIR/labels.json: {"id2label": …, "label2id": …}, keyword arguments of transformers' from_pretrained. Without names,
// nothing is written. Throws StorageError.
void write_labels(const std::filesystem::path& directory, const LabelNames& names);

// Empty where there is no such file. Throws ModelError for one that is damaged.
LabelNames read_labels(const std::filesystem::path& directory);

}  // namespace lora
