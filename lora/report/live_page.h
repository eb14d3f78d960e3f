#pragma once
// The page of a run that goes on: report.html in its directory.

#include <chrono>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "lora/report/run_record.h"

namespace lora {

class LivePage {
 public:
  // Begins with the rows that metrics.jsonl has, and with the answers of an earlier page: those from before training,
  // which a resumed run does not give again.
  explicit LivePage(const std::filesystem::path& directory);

  // Adds a row of metrics.jsonl. Writes the page where ten seconds have gone by since the last time, and fifty times as
  // long as that took: it never takes more than a fiftieth of the run. Throws StorageError.
  void add(const nlohmann::ordered_json& row);

  // What the page tells beside the curves; write() takes it as it is then.
  RunRecord& record() { return run_.record; }
  // The answers that an earlier page had, by place.
  const std::vector<ReportSample>& earlier_samples() const { return earlier_samples_; }

  // Writes the page now, whole or not at all. Throws StorageError.
  void write();

 private:
  std::filesystem::path directory_;
  ReportedRun run_;
  std::vector<ReportSample> earlier_samples_;
  std::chrono::steady_clock::time_point due_;
};

}  // namespace lora
