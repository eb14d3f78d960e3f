// lora-classify MODEL_OR_RUN [TEXT …] [--input FILE]

#include <algorithm>
#include <iostream>

#include "lora/app/source/trained_model.h"
#include "lora/cli/program.h"
#include "lora/data/rows.h"
#include "lora/inference/classify.h"
#include "lora/terminal/busy.h"
#include "lora/terminal/output.h"
#include "lora/terminal/text.h"
#include "models/base/numbers.h"
#include "models/network/pretrained.h"

namespace lora {
namespace {

constexpr size_t kTextsAtOnce = 256;

struct Options {
  std::string source, model, input, column = "text", dtype = "auto", device;
  std::vector<std::string> texts, ignored_options;
  int64_t max_length = 512, threads = 0;
};

// "LABEL\tPROBABILITY\tTEXT", no wider than `width` columns where that is a terminal's; 0: it is none.
std::string line_of(const std::string& label, double probability, const std::string& text, int width) {
  constexpr size_t kLongest = 100;  // of the text, in columns
  const std::string number = fixed(probability, 4);
  if (width == 0) return label + "\t" + number + "\t" + one_line(text, kLongest);
  const auto behind_tab = [](size_t column) { return (column / 8 + 1) * 8; };
  const std::string shown = one_line(label, as_size(std::max(width / 3, 8)));
  const size_t begin = behind_tab(behind_tab(width_of(shown)) + number.size());
  const size_t room = as_size(width) > begin + 3 ? as_size(width) - begin - 2 : 1;  // for the … and without wrapping
  return shown + "\t" + number + "\t" + one_line(text, std::min(kLongest, room));
}

// One line a text: its label, the label's probability and the text, between tabs.
class Printer {
 public:
  Printer(TrainedModel classifier, int64_t max_length) : classifier_(std::move(classifier)), max_length_(max_length) {}

  void add(std::string text) {
    texts_.push_back(std::move(text));
    if (texts_.size() == kTextsAtOnce) flush();
  }

  void flush() {
    const auto found = [&] {
      Busy busy("classifying", error_console());
      busy.at(0, 0, with_commas(printed_) + " texts done");
      return classify(*classifier_.adapted.model, *classifier_.tokenizer, texts_, max_length_);
    }();
    printed_ += std::ssize(texts_);
    std::string lines;
    for (size_t i = 0; i < texts_.size(); ++i) {
      const std::string& name = classifier_.adapted.model->config().labels[static_cast<size_t>(found[i].label)];
      lines += line_of(name, found[i].probability, texts_[i], width_) + "\n";
    }
    say(lines);
    texts_.clear();
  }

 private:
  TrainedModel classifier_;
  int64_t max_length_;
  int width_ = console().width;
  int64_t printed_ = 0;
  std::vector<std::string> texts_;
};

TrainedModel load(const Options& options) {
  const Busy busy("reading the model", error_console());
  TrainedModel classifier = is_model(options.source)
                                ? load_plain(options.source, options.dtype, options.device)
                                : load_trained(options.source, options.model, options.ignored_options, options.device);
  if (classifier.adapted.model->score) return classifier;
  throw ModelError(options.source + ": is a language model; expected a classifier (lora-generate continues texts)");
}

int classify_all(const Options& options) {
  set_threads(options.threads);
  Printer printer(load(options), options.max_length);
  if (!options.input.empty()) {
    for_each_row({.path = options.input, .format = "text", .fields = {{"text", options.column}}},
                 [&](const DataRow& row) { printer.add(row.text("text")); });
  } else if (!options.texts.empty()) {
    for (const std::string& text : options.texts) printer.add(text);
  } else {
    for (std::string line; std::getline(std::cin, line);) printer.add(line);
  }
  printer.flush();
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  lora::Program app("Says which label each text has: the label, its probability and the text, a line each.",
                    "lora-classify");
  lora::Options options;
  app.add_option("MODEL_OR_RUN", options.source,
                 "A classifier: a run directory, one of its checkpoints, a PEFT adapter or a Hugging Face directory")
      ->required();
  app.add_option("TEXT", options.texts, "Texts; without them and without --input, the lines of standard input");
  app.add_option("--input", options.input, "A .csv, .jsonl or .json file of texts");
  app.add_option("--column", options.column, "The texts' column in that file");
  app.add_option("--model", options.model, "The base model's directory, where the run or adapter does not find it");
  lora::add_ignore_option(app, options.ignored_options);
  app.add_option("--max-length", options.max_length, "Tokens of a text at most; more are cut on the right")
      ->check(CLI::PositiveNumber);
  app.add_option("--dtype", options.dtype, "Of a Hugging Face directory: float32, bfloat16 or auto")
      ->check(CLI::IsMember(lora::dtype_names().known));
  lora::add_device_option(app, options.device, "auto");
  app.add_option("--threads", options.threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] { return lora::classify_all(options); });
}
