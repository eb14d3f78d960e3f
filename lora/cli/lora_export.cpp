// lora-export RUN_OR_ADAPTER --format torchscript|huggingface|peft --output PATH

#include "lora/cli/program.h"
#include "lora/run/session.h"

int main(int argc, char** argv) {
  CLI::App app("Writes a trained model in another program's format.", "lora-export");
  std::string source, format, output, model;
  int64_t threads = 0;
  std::vector<std::string> names;
  for (const auto& [name, unused] : lora::export_formats()) names.push_back(name);
  app.add_option("RUN_OR_ADAPTER", source, "A run directory, one of its checkpoints, or a PEFT adapter directory")
      ->required();
  app.add_option("--format", format, "What to write")->required()->check(CLI::IsMember(names));
  app.add_option("--output", output, "Where: a file for torchscript, else a directory")->required();
  app.add_option("--model", model, "The base model's directory, where it is not where the run found it");
  app.add_option("--threads", threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] {
    lora::set_threads(threads);
    const lora::TrainedModel trained = lora::load_trained(source, model);
    const std::string line = lora::export_formats().at(format).write(
        lora::export_source(trained.session, trained.adapter, trained.model_directory), output);
    std::printf("%s -> %s: %s\n", trained.line.c_str(), output.c_str(), line.c_str());
    return 0;
  });
}
