// lora-inspect PATH [--json] [--all] [--model BASE] [--no-values], or RUN RUN […] [--html [PAGE]]

#include "lora/app/source/trained_model.h"
#include "lora/cli/program.h"
#include "lora/inspect/inspect.h"
#include "lora/report/comparison.h"
#include "lora/report/page.h"
#include "lora/terminal/busy.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/atomic_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

bool is_run(const fs::path& path) { return fs::exists(path / "metrics.jsonl") || fs::exists(path / kReportFile); }

// Of a directory of several adapters' runs, each of them.
std::vector<fs::path> runs_below(const fs::path& path) {
  std::vector<fs::path> below;
  if (is_run(path) || !fs::is_directory(path)) return below;
  for (const auto& item : fs::directory_iterator(path)) {
    if (is_run(item.path())) below.push_back(item.path());
  }
  std::sort(below.begin(), below.end());
  return below;
}

// The runs at these paths, or below them.
std::vector<ReportedRun> runs_at(const std::vector<std::string>& paths) {
  std::vector<ReportedRun> runs;
  for (const std::string& path : paths) {
    std::vector<fs::path> found = runs_below(path);
    if (found.empty()) found = {path};
    for (const fs::path& run : found) runs.push_back(read_reported_run(run));
  }
  return runs;
}

ReportedRuns pointers_to(const std::vector<ReportedRun>& runs) {
  ReportedRuns pointers;
  for (const ReportedRun& run : runs) pointers.push_back(&run);
  return pointers;
}

constexpr const char* kPage = "runs.html";

int write_page(std::vector<std::string> paths, std::string file) {
  if (fs::is_directory(file)) {  // --html RUN RUN
    paths.insert(paths.begin(), std::exchange(file, kPage));
  }
  const std::vector<ReportedRun> runs = runs_at(paths);
  write_file_atomically(file, report_page(pointers_to(runs)));
  std::printf("wrote %s: %zu run%s\n", file.c_str(), runs.size(), runs.size() == 1 ? "" : "s");
  return 0;
}

// Names of directories and values of recipes come from strangers.
TextTable printable(TextTable content) {
  for (std::vector<std::string>& row : content.rows) {
    for (std::string& cell : row) cell = one_line(cell, 200);
  }
  return content;
}

int print_comparison(const std::vector<std::string>& paths) {
  const std::vector<ReportedRun> runs = runs_at(paths);
  std::string text = table(printable(compared_runs(pointers_to(runs))));
  const TextTable keys = differing_keys(pointers_to(runs));
  if (!keys.rows.empty()) text += "\nWhat their recipes differ in\n" + table(printable(keys));
  std::fputs(text.c_str(), stdout);
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
  app.add_option("PATH", paths, "A directory or a file; or several runs, side by side")->required();
  auto* page =
      app.add_option("--html", html, "Write a page of the run or runs to this file; without a name to runs.html")
          ->type_name("PAGE")
          ->expected(0, 1);
  const std::vector<const CLI::Option*> of_one_path = {
      app.add_flag("--json", json, "One JSON object, with every module and tensor"),
      app.add_flag("--all", options.each, "Every module and tensor in a row of its own, not layers together"),
      app.add_option("--model", options.base, "The base of an adapter, where it is not where the adapter says"),
      app.add_flag("--no-values", no_values,
                   "Headers alone: does not look for NaN, infinities and zeros in a model's weights")};
  app.add_option("--threads", threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] {
    if (page->count() > 0 || paths.size() > 1 || !lora::runs_below(paths.front()).empty()) {
      for (const CLI::Option* option : of_one_path) {
        if (option->count() > 0)
          throw lora::RecipeError(option->get_name() + ": found runs to lay side by side, expected one path");
      }
      return page->count() > 0 ? lora::write_page(paths, html) : lora::print_comparison(paths);
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
