#pragma once
// The result of an inspection: facts and tables, printed as text for people or as JSON for programs.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lora {

struct Fact {
  std::string key, title;
  nlohmann::ordered_json value;  // a string, number, boolean or null
  std::string text = {};         // for people, if it says more than the value
};

struct Column {
  std::string key, title;
};

// A cell is a string, number, boolean, list of numbers (a shape) or null (empty).
struct Table {
  std::string key, title;
  std::vector<Column> columns;
  std::vector<std::vector<nlohmann::ordered_json>> rows;
};

struct Inspection {
  std::string path, kind;  // kind: "adapter", "model", "checkpoint", "run", "tensors", "gguf"
  std::vector<Fact> facts;
  std::vector<Table> tables;
  std::vector<std::string> odd;  // what a person should look at, one sentence each
};

// Cuts tables with more than `most_rows` rows, and says so.
std::string to_text(const Inspection& inspection, size_t most_rows);
// {"path", "kind", each fact under its key, each table under its key as a list of objects, "odd"}
std::string to_json(const Inspection& inspection);

}  // namespace lora
