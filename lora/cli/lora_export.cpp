// lora-export RUN_OR_ADAPTER --format torchscript|huggingface|peft --output PATH [--merge-into original|dequantized]

#include "lora/cli/program.h"
#include "lora/run/merging.h"

int main(int argc, char** argv) {
  CLI::App app("Writes a trained model in another program's format.", "lora-export");
  std::string source, format, output, model, merge_into = "original";
  int64_t threads = 0;
  std::vector<std::string> names;
  for (const auto& [name, unused] : lora::export_formats()) names.push_back(name);
  app.add_option("RUN_OR_ADAPTER", source, "A run directory, one of its checkpoints, or a PEFT adapter directory")
      ->required();
  app.add_option("--format", format, "What to write")->required()->check(CLI::IsMember(names));
  app.add_option("--output", output, "Where: a file for torchscript, else a directory")->required();
  const std::map<std::string, lora::MergeInto> into = {{"original", lora::MergeInto::kOriginal},
                                                       {"dequantized", lora::MergeInto::kDequantized}};
  app.add_option("--merge-into", merge_into,
                 "Of a run on a quantized base: the base's own weights, or those trained on")
      ->check(CLI::IsMember({"original", "dequantized"}))
      ->capture_default_str();
  app.add_option("--model", model, "The base model's directory, where it is not where the run found it");
  app.add_option("--threads", threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] {
    lora::set_threads(threads);
    const lora::TrainedModel trained = lora::load_trained(source, model);
    const std::string line = lora::write_export(format, trained.session, {trained.model, trained.adapter, trained.seed},
                                                into.at(merge_into), output);
    std::printf("%s -> %s: %s\n", trained.line.c_str(), output.c_str(), line.c_str());
    return 0;
  });
}
