// lora-data report|preview|prepare RECIPE.yaml [key.path=value …]

#include <ATen/Parallel.h>

#include "lora/app/data/data_page.h"
#include "lora/app/data/data_prepare.h"
#include "lora/app/data/data_preview.h"
#include "lora/app/data/data_study.h"
#include "lora/app/source/trained_model.h"
#include "lora/cli/override_keys.h"
#include "lora/cli/program.h"
#include "lora/terminal/output.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/atomic_file.h"
#include "models/network/model_directory.h"

namespace lora {
namespace {

struct Options {
  std::string recipe, html = "data-report.html", findings, output;
  std::vector<std::string> overrides;
  PreviewOptions preview;
};

// Of a recipe with several adapters each has its data: one after the other, with its name in the names of files.
void for_each_recipe(const Options& options,
                     const std::function<void(const NamedRecipe& named, const Tokenizer& tokenizer)>& work) {
  const std::vector<NamedRecipe> recipes = load_recipes_to_run(options.recipe, options.overrides);
  expect_directory(recipes.front().recipe.model.path);
  set_threads(recipes.front().recipe.training.threads);
  auto busy = std::make_unique<Busy>("reading the tokenizer");
  const auto tokenizer = load_tokenizer(recipes.front().recipe.model.path, recipes.front().recipe.model.new_tokens);
  busy.reset();
  for (const NamedRecipe& named : recipes) {
    if (!named.name.empty()) say(named.name + "\n");
    work(named, *tokenizer);
  }
}

std::filesystem::path named_file(const std::filesystem::path& path, const std::string& name) {
  if (name.empty()) return path;
  return path.parent_path() / (path.stem().string() + "-" + name + path.extension().string());
}

std::string seconds_text(const StudySeconds& seconds, int threads) {
  return fixed(seconds.encoding, 2) + " s to read and tokenise, " + fixed(seconds.cleaning.texts, 2) +
         " s for rules on a row by itself, " + fixed(seconds.cleaning.duplicates, 2) +
         " s for duplicates and contamination, " + fixed(seconds.figures, 2) + " s for the figures, on " +
         std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

StudiedData studied(const Recipe& recipe, const Tokenizer& tokenizer) {
  Busy busy("reading the data");
  return study_data(recipe, tokenizer, busy);
}

int report(const Options& options) {
  for_each_recipe(options, [&](const NamedRecipe& named, const Tokenizer& tokenizer) {
    const DataStudy study = studied(named.recipe, tokenizer).study;
    say(data_report(study) + "\n");
    const Busy busy("writing the page");
    const auto html = named_file(options.html, named.name);
    const std::string title = "Data of " + options.recipe + (named.name.empty() ? "" : ", " + named.name);
    write_file_atomically(html, data_page(study, title));
    std::vector<std::vector<std::string>> rows = {{"took", seconds_text(study.seconds, at::get_num_threads())},
                                                  {"wrote", html.string()}};
    if (!options.findings.empty()) {
      const auto findings = named_file(options.findings, named.name);
      write_file_atomically(findings, findings_jsonl(study.cleaning));
      rows.push_back({"wrote", findings.string()});
    }
    say(named_rows(rows));
  });
  return 0;
}

int preview_rows(Options options) {
  options.preview.colour = console().colour;
  for_each_recipe(options, [&](const NamedRecipe& named, const Tokenizer& tokenizer) {
    const Busy busy("reading the rows up to those");
    say(data_preview(named.recipe, tokenizer, options.preview));
  });
  return 0;
}

int prepare(const Options& options) {
  for_each_recipe(options, [&](const NamedRecipe& named, const Tokenizer& tokenizer) {
    const StudiedData data = studied(named.recipe, tokenizer);
    say(data_report(data.study) + "\n");
    const Busy busy("writing the samples");
    say(write_prepared(data, tokenizer, std::filesystem::path(options.output) / named.name));
  });
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  lora::Program app("Shows, checks and prepares a recipe's data; needs the model's tokenizer, not its weights.",
                    "lora-data");
  app.require_subcommand(1);
  lora::Options options;
  app.offers["OVERRIDES"] = lora::offer_override_keys;
  const auto add = [&](const char* name, const char* what) {
    CLI::App* command = app.add_subcommand(name, what);
    command->add_option("RECIPE", options.recipe, "The recipe, a YAML file")->required();
    command->add_option("OVERRIDES", options.overrides, "key.path=value, in place of what the recipe says")
        ->type_name("KEY=VALUE");
    return command;
  };
  CLI::App* report = add("report", "What the data are and what cleaning finds, as text and as one HTML page");
  report->add_option("--html", options.html, "The page")->capture_default_str();
  report->add_option("--findings", options.findings, "Also every finding, a line of JSON each");
  CLI::App* preview = add("preview", "Rows token by token, those not trained on dimmed");
  preview->add_flag("--validation", options.preview.validation, "Of the validation data");
  preview->add_option("--source", options.preview.source, "Which source of the list, from 1")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  preview->add_option("--row", options.preview.first, "The first row of it, from 1")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  preview->add_option("--count", options.preview.count, "How many rows")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  preview->add_flag("--ids", options.preview.ids, "A line a token, with its id");
  CLI::App* prepare = add("prepare", "Writes the cleaned and tokenised data");
  prepare->add_option("--output", options.output, "A directory")->required();
  return lora::run_program(app, argc, argv, [&] {
    return report->parsed()    ? lora::report(options)
           : preview->parsed() ? lora::preview_rows(options)
                               : lora::prepare(options);
  });
}
