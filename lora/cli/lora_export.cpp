// lora-export RUN_OR_ADAPTER --format torchscript|huggingface|peft|gguf|gguf-lora --output PATH [--outtype q8_0] …
// lora-export --combine PATH=WEIGHT … [--combination-type cat] --format … --output PATH

#include "lora/app/source/combined_model.h"
#include "lora/app/source/merging.h"
#include "lora/cli/program.h"
#include "lora/terminal/busy.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/output.h"

int main(int argc, char** argv) {
  lora::Program app("Writes a trained model, or several adapters as one, in another program's format.", "lora-export");
  std::string source, format, output, model, device, merge_into = "original", majority_sign = "total";
  int64_t threads = 0;
  std::vector<std::string> combined, ignored_options;
  lora::CombineOptions combine;
  lora::ExportOptions options;
  bool overwrite = false;
  auto* trained_option =
      app.add_option("RUN_OR_ADAPTER", source,
                     "A run directory, one of its checkpoints, a PEFT adapter directory, or a model's directory");
  auto* combine_option = app.add_option("--combine", combined,
                                        "Instead: adapters of one base with their weights, such as runs/fr=0.7 "
                                        "runs/de=0.3");
  trained_option->excludes(combine_option);
  app.add_option("--combination-type", combine.type,
                 "cat (exact, the ranks add up), svd (the best of --rank), or PEFT's others")
      ->check(CLI::IsMember(lora::combination_names().known))
      ->needs(combine_option)
      ->capture_default_str();
  app.add_option("--density", combine.density, "Types ties, dare and magnitude_prune: the share of values that stays")
      ->needs(combine_option);
  app.add_option("--rank", combine.svd_rank, "Types svd: the rank of the result; else the largest of the adapters'")
      ->needs(combine_option);
  app.add_option("--majority-sign", majority_sign, "Types ties: total or frequency elects the sign")
      ->check(CLI::IsMember(lora::names_of(combine.majority_sign).known))
      ->needs(combine_option);
  app.add_option("--seed", combine.seed, "For the types with dare: decides which values are pruned")
      ->needs(combine_option);
  app.add_option("--format", format, "What to write")->required()->check(CLI::IsMember(lora::export_names().known));
  app.add_option("--output", output, "Where: a file for torchscript and gguf, else a directory")->required();
  app.add_flag("--overwrite", overwrite, "Replace an output that exists");
  app.add_option(
         "--outtype", options.outtype,
         "Formats gguf: the numbers of matrices; torchscript: int8 for those of the layers; auto: the model's own")
      ->capture_default_str();
  app.add_option("--max-shard-size", options.max_shard_size,
                 "Format huggingface: a file's size, such as 5GB; weights beyond it go into further files")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("!--no-huggingface", options.huggingface_beside,
               "Format torchscript: leave out the Hugging Face directory beside the file");
  const std::map<std::string, lora::MergeInto> into = {{"original", lora::MergeInto::kOriginal},
                                                       {"dequantized", lora::MergeInto::kDequantized}};
  app.add_option("--merge-into", merge_into,
                 "Of a run on a quantized base: the base's own weights, or those trained on")
      ->check(CLI::IsMember({"original", "dequantized"}))
      ->capture_default_str();
  app.add_option("--model", model, "The base model's directory, where it is not where the run found it");
  lora::add_ignore_option(app, ignored_options);
  lora::add_device_option(app, device, "cpu");
  app.add_option("--threads", threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] {
    if (source.empty() && combined.empty()) {
      throw lora::Error(lora::ExitCode::kRecipe, "export", "nothing to write; expected RUN_OR_ADAPTER or --combine");
    }
    std::vector<std::filesystem::path> places = {output};
    const lora::ExportFormat& chosen = lora::export_format(format);
    const bool plain = combined.empty() && lora::is_model(source);
    if (plain && !chosen.merges) {
      throw lora::ExportError(format + ": " + source + " is not a run or an adapter, and " + format +
                              " is the adapter alone; expected one of them, or a format of a whole model");
    }
    if (plain && !model.empty()) {
      throw lora::ExportError("--model: the base of an adapter, and " + source + " is none; leave it out");
    }
    lora::check_options(chosen, options);
    if (chosen.beside) places.push_back(chosen.beside(options, output));
    for (const std::filesystem::path& place : places) {
      if (overwrite || !std::filesystem::exists(place)) continue;
      throw lora::StorageError(place.string() + ": exists already; expected a path where nothing is, or --overwrite");
    }
    combine.majority_sign = *lora::value_of<lora::MajoritySign>(majority_sign);
    lora::set_threads(threads);
    std::vector<lora::WeightedPath> paths;
    for (const std::string& argument : combined) paths.push_back(lora::weighted_path(argument));
    lora::Busy busy("reading the model");
    const lora::TrainedModel trained = plain ? lora::load_plain(source, "auto", device)
                                       : paths.empty()
                                           ? lora::load_trained(source, model, ignored_options, device)
                                           : lora::load_combined(paths, combine, model, ignored_options, device);
    const std::string line =
        lora::write_export(format, lora::export_source(trained, options), {trained.section, trained.seed},
                           into.at(merge_into), output, lora::console());
    const size_t last = trained.line.rfind('\n') + 1;  // tables may stand before it
    lora::say(trained.line.substr(0, last) + lora::sentence(trained.line.substr(last) + " -> " + output + ": " + line));
    return 0;
  });
}
