#include "lora/report/run_record.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "lora/report/page.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

ordered_json json_of(const ReportTable& table) {
  return {{"title", table.title}, {"rows", table.rows}, {"right", table.right}};
}

ordered_json json_of(const ReportSample& sample) {
  return {{"prompt", sample.prompt}, {"expected", sample.expected}, {"before", sample.before}, {"after", sample.after}};
}

template <typename T>
ordered_json list_of(const std::vector<T>& values) {
  ordered_json list = ordered_json::array();
  for (const T& value : values) list.push_back(json_of(value));
  return list;
}

// Written by this program; another version may have other keys.
RunRecord record_of(const ordered_json& json) {
  RunRecord record;
  const auto take = [&](const char* key, auto& member) {
    if (json.contains(key)) json.at(key).get_to(member);
  };
  take("name", record.name);
  take("state", record.state);
  take("updated", record.updated);
  take("total_steps", record.total_steps);
  take("facts", record.facts);
  take("recipe", record.recipe);
  take("findings", record.findings);
  take("labels", record.labels);
  take("confusion", record.confusion);
  for (const auto& table : json.value("tables", ordered_json::array())) {
    ReportTable read{table.at("title"), table.at("rows"), table.at("right")};
    for (const auto& row : read.rows) {
      if (row.size() > read.right.size()) throw std::invalid_argument("a row with more columns than the table");
    }
    record.tables.push_back(std::move(read));
  }
  for (const auto& sample : json.value("samples", ordered_json::array())) {
    record.samples.push_back({sample.at("prompt"), sample.at("expected"), sample.at("before"), sample.at("after")});
  }
  for (const auto& [label, predicted, count] : record.confusion) {
    const auto labels = static_cast<int64_t>(record.labels.size());
    if (label < 0 || label >= labels || predicted < 0 || predicted >= labels) throw std::out_of_range("a label");
  }
  return record;
}

}  // namespace

std::string record_text(const RunRecord& record) {
  const ordered_json json = {{"name", record.name},
                             {"state", record.state},
                             {"updated", record.updated},
                             {"total_steps", record.total_steps},
                             {"facts", record.facts},
                             {"recipe", record.recipe},
                             {"tables", list_of(record.tables)},
                             {"findings", record.findings},
                             {"samples", list_of(record.samples)},
                             {"labels", record.labels},
                             {"confusion", record.confusion}};
  std::string text;
  for (const char c : json.dump(-1, ' ', false, ordered_json::error_handler_t::replace)) {
    // No text of a row ends the element that holds it.
    if (c == '<' || c == '>' || c == '&') {
      text += c == '<' ? "\\u003c" : c == '>' ? "\\u003e" : "\\u0026";
    } else {
      text += c;
    }
  }
  return text;
}

std::optional<RunRecord> read_record(const std::string& json) {
  const auto parsed = parse_json_or_discard<ordered_json>(json);
  if (!parsed.is_object()) return std::nullopt;
  try {
    return record_of(parsed);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

ReportedRun read_reported_run(const fs::path& directory) {
  ReportedRun run;
  const fs::path page = directory / kReportFile, metrics = directory / "metrics.jsonl";
  if (!fs::exists(page) && !fs::exists(metrics)) {
    throw StorageError(directory.string() +
                       ": found neither metrics.jsonl nor report.html, expected the directory of a run");
  }
  if (fs::exists(page)) {
    if (auto record = read_record(record_in(read_stored_file(page)))) run.record = std::move(*record);
  }
  run.record.name = directory.lexically_normal().string();
  if (fs::exists(metrics)) expect_stored_file(metrics);
  std::ifstream rows(metrics, std::ios::binary);
  for (std::string line; std::getline(rows, line);) {
    const auto row = parse_json_or_discard<ordered_json>(line);
    if (row.is_object()) run.curves.add(row);
  }
  return run;
}

}  // namespace lora
