#include "lora/report/live_page.h"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "lora/report/page.h"
#include "models/base/atomic_file.h"

namespace lora {
namespace {

std::string local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local)};
}

}  // namespace

LivePage::LivePage(const std::filesystem::path& directory)
    : directory_(directory), run_(read_reported_run(directory)), due_(std::chrono::steady_clock::now()) {
  earlier_samples_ = std::move(run_.record.samples);
  run_.record = {};
  run_.record.name = directory.lexically_normal().string();
}

void LivePage::add(const nlohmann::ordered_json& row) {
  run_.curves.add(row);
  if (std::chrono::steady_clock::now() >= due_) write();
}

void LivePage::write() {
  using namespace std::chrono_literals;
  const auto begin = std::chrono::steady_clock::now();
  run_.record.updated = local_time();
  write_file_atomically(directory_ / kReportFile, report_page({&run_}));
  const auto end = std::chrono::steady_clock::now();
  due_ = end + std::max<std::chrono::steady_clock::duration>(10s, 50 * (end - begin));
}

}  // namespace lora
