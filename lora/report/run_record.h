#pragma once
// What a page tells of a run beside the curves of its metrics. The page holds it, too, so that several runs can be laid
// side by side from their pages and metrics alone.

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/report/curve.h"

namespace lora {

// The first row is the head. `right`: columns of numbers.
struct ReportTable {
  std::string title;
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> right;
};

// A held-out row and its answers; `before` is empty where nobody asked before training.
struct ReportSample {
  std::string prompt, expected, before, after;
};

struct RunRecord {
  std::string name;                // the run's directory
  std::string state = "training";  // or how it ended: "done", "stopped after step 40"
  std::string updated;             // local time
  int64_t total_steps = 0;
  std::vector<std::pair<std::string, std::string>> facts;   // title and text
  std::vector<std::pair<std::string, std::string>> recipe;  // every key with its value
  std::vector<ReportTable> tables;
  std::vector<std::string> findings;  // about the data and the run, a sentence each
  std::vector<ReportSample> samples;
  std::vector<std::string> labels;                // of a classifier
  std::vector<std::array<int64_t, 3>> confusion;  // label, predicted label, validation samples
};

// As JSON that is safe inside a page; and back. read throws nothing: what is damaged is nothing.
std::string record_text(const RunRecord& record);
std::optional<RunRecord> read_record(const std::string& json);

// A run as its directory tells it.
struct ReportedRun {
  RunRecord record;
  Curves curves;
};

// Reads report.html, as far as there is a whole one, and metrics.jsonl. Throws StorageError for a directory that holds
// neither.
ReportedRun read_reported_run(const std::filesystem::path& directory);

inline constexpr const char* kReportFile = "report.html";

}  // namespace lora
