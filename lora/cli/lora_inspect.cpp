// lora-inspect PATH [--json] [--all] [--model BASE] [--no-values]

#include "lora/app/source/trained_model.h"
#include "lora/cli/program.h"
#include "lora/inspect/inspect.h"

int main(int argc, char** argv) {
  CLI::App app("Tells what is in a model, adapter, checkpoint, run, safetensors or GGUF file.", "lora-inspect");
  std::string path;
  lora::InspectOptions options;
  bool json = false, no_values = false;
  int64_t threads = 0;
  app.add_option("PATH", path, "A directory or a file")->required();
  app.add_flag("--json", json, "One JSON object, with every module and tensor");
  app.add_flag("--all", options.each, "Every module and tensor in a row of its own, not layers together");
  app.add_option("--model", options.base, "The base of an adapter, where it is not where the adapter says");
  app.add_flag("--no-values", no_values,
               "Headers alone: does not look for NaN, infinities and zeros in a model's weights");
  app.add_option("--threads", threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] {
    lora::set_threads(threads);
    options.each = options.each || json;
    options.read_values = !no_values;
    const lora::Inspection inspection = lora::inspect(path, options);
    constexpr size_t kRows = 64;
    std::fputs((json ? to_json(inspection) : to_text(inspection, options.each ? SIZE_MAX : kRows)).c_str(), stdout);
    return 0;
  });
}
