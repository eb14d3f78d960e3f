// lora-inspect PATH [--json] [--all] [--model BASE] [--no-values], or RUN [RUN …] --html [PAGE]

#include "lora/app/source/trained_model.h"
#include "lora/cli/program.h"
#include "lora/inspect/inspect.h"
#include "lora/report/page.h"
#include "lora/terminal/busy.h"
#include "models/base/atomic_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

bool is_run(const fs::path& path) { return fs::exists(path / "metrics.jsonl") || fs::exists(path / kReportFile); }

// The runs at these paths; of a directory of several adapters' runs, each of them.
std::vector<ReportedRun> runs_at(const std::vector<std::string>& paths) {
  std::vector<ReportedRun> runs;
  for (const std::string& path : paths) {
    std::vector<fs::path> below;
    if (!is_run(path) && fs::is_directory(path)) {
      for (const auto& item : fs::directory_iterator(path)) {
        if (is_run(item.path())) below.push_back(item.path());
      }
      std::sort(below.begin(), below.end());
    }
    if (below.empty()) below = {path};
    for (const fs::path& run : below) runs.push_back(read_reported_run(run));
  }
  return runs;
}

constexpr const char* kPage = "runs.html";

int write_page(std::vector<std::string> paths, std::string file) {
  if (fs::is_directory(file)) {  // --html RUN RUN
    paths.insert(paths.begin(), std::exchange(file, kPage));
  }
  const std::vector<ReportedRun> runs = runs_at(paths);
  std::vector<const ReportedRun*> shown;
  for (const ReportedRun& run : runs) shown.push_back(&run);
  write_file_atomically(file, report_page(shown));
  std::printf("wrote %s: %zu run%s\n", file.c_str(), runs.size(), runs.size() == 1 ? "" : "s");
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  lora::Program app("Tells what is in a model, adapter, checkpoint, run, safetensors or GGUF file.", "lora-inspect");
  std::vector<std::string> paths;
  std::string html = lora::kPage;
  lora::InspectOptions options;
  bool json = false, no_values = false;
  int64_t threads = 0;
  app.add_option("PATH", paths, "A directory or a file; with --html one run or several")->required();
  auto* page = app.add_option("--html", html,
                              "Write a page of the runs, side by side, to this file; without a name to runs.html")
                   ->type_name("PAGE")
                   ->expected(0, 1);
  app.add_flag("--json", json, "One JSON object, with every module and tensor")->excludes("--html");
  app.add_flag("--all", options.each, "Every module and tensor in a row of its own, not layers together");
  app.add_option("--model", options.base, "The base of an adapter, where it is not where the adapter says");
  app.add_flag("--no-values", no_values,
               "Headers alone: does not look for NaN, infinities and zeros in a model's weights");
  app.add_option("--threads", threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] {
    if (page->count() > 0) return lora::write_page(paths, html);
    if (paths.size() > 1) {
      throw lora::RecipeError("PATH: found " + std::to_string(paths.size()) +
                              " paths, expected one; --html lays several runs side by side");
    }
    lora::set_threads(threads);
    options.each = options.each || json;
    options.read_values = !no_values;
    auto busy = std::make_unique<lora::Busy>("reading", lora::error_console());
    const lora::Inspection inspection = lora::inspect(paths.front(), options);
    busy.reset();
    constexpr size_t kRows = 64;
    std::fputs((json ? to_json(inspection) : to_text(inspection, options.each ? SIZE_MAX : kRows)).c_str(), stdout);
    return 0;
  });
}
