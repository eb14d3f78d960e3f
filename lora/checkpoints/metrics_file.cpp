#include "lora/checkpoints/metrics_file.h"

#include <fcntl.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

// Whether a row was written after the checkpoint of `step`; none: the line is not a row.
std::optional<bool> is_after(const std::string& line, int64_t step) {
  const auto row = parse_json_or_discard<nlohmann::json>(line);
  if (!row.is_object()) return std::nullopt;
  const auto found = row.find("step");
  if (found == row.end() || !found->is_number_integer()) return std::nullopt;
  const auto row_step = found->get<int64_t>();
  // Held-out rows are answered when the last checkpoint has been written, and a resumed run answers them again.
  return row_step > step || (row_step == step && row.contains("exact_match"));
}

}  // namespace

MetricsFile::MetricsFile(std::filesystem::path path)
    : path_(std::move(path)), file_(retry_interrupted([&] {
        return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
      })) {
  if (file_.get() < 0) throw_storage_error(path_, "open", errno);
}

void MetricsFile::append(std::string_view row) {
  const std::string line = std::string(row) + "\n";
  const off_t before = ::lseek(file_.get(), 0, SEEK_END);
  try {
    write_all(file_.get(), line.data(), line.size(), path_);
  } catch (const StorageError&) {
    // A full disk can leave a part of the line.
    if (before >= 0 && ::ftruncate(file_.get(), before) != 0) throw_storage_error(path_, "undo half a row", errno);
    throw;
  }
}

void MetricsFile::sync() { sync_descriptor(file_.get(), path_); }

DroppedRows drop_rows_after(const std::filesystem::path& path, int64_t step) {
  DroppedRows dropped;
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return dropped;
  expect_stored_file(path);
  std::ifstream lines(path);
  if (!lines) throw_storage_error(path, "read", errno);

  AtomicFile kept(path);
  std::string line;
  bool last_line_ended = true;
  while (std::getline(lines, line)) {
    last_line_ended = !lines.eof();
    const auto after = is_after(line, step);
    if (!after) {
      ++dropped.unreadable;
    } else if (*after) {
      ++dropped.after_step;
    } else {
      kept.write(line + "\n");
    }
  }
  if (lines.bad()) throw_storage_error(path, "read", errno);
  if (dropped.after_step > 0 || dropped.unreadable > 0 || !last_line_ended) kept.commit();
  return dropped;
}

}  // namespace lora
