#pragma once
// What was found in a file or a directory: facts and tables that a person reads as text and a machine as JSON.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lora {

struct Fact {
  std::string key, title;
  nlohmann::ordered_json value;  // a string, number, truth or null
  std::string text = {};         // for the person, where it is more than the value
};

struct Column {
  std::string key, title;
};

// A cell is a string, number, truth, list of numbers (a shape) or null (nothing).
struct Table {
  std::string key, title;
  std::vector<Column> columns;
  std::vector<std::vector<nlohmann::ordered_json>> rows;
};

struct Inspection {
  std::string path, kind;  // kind: "adapter", "model", "checkpoint", "run", "tensors", "gguf"
  std::vector<Fact> facts;
  std::vector<Table> tables;
  std::vector<std::string> odd;  // what a person should look at, a sentence each
};

// Tables of more rows than `most_rows` are cut, and say so.
std::string to_text(const Inspection& inspection, size_t most_rows);
// {"path", "kind", each fact under its key, each table under its key as a list of objects, "odd"}
std::string to_json(const Inspection& inspection);

// Values as a row of bars, at most `width` of them: each is the mean of its share of the values.
std::string sparkline(const std::vector<double>& values, size_t width);

}  // namespace lora
