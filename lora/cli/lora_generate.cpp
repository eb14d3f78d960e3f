// lora-generate MODEL [--adapter [NAME=]PATH …] [--prompt TEXT | --prompts FILE | --interactive]

#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "lora/adapters/adapter_name.h"
#include "lora/cli/program.h"
#include "lora/data/sample.h"
#include "lora/log/log.h"
#include "lora/run/exact_match.h"
#include "lora/run/named_path.h"
#include "lora/run/prompts.h"
#include "lora/run/session.h"
#include "lora/run/trained_source.h"

namespace lora {
namespace {

struct Options {
  std::string model, prompt, prompts, use;
  std::vector<std::string> adapters;
  bool prompt_given = false, interactive = false;
  std::string dtype = "auto";
  GenerationConfig generation;
  int64_t threads = 0;
};

void load_adapters(const Options& options, AdapterSet& set) {
  for (const std::string& argument : options.adapters) {
    const NamedPath adapter = named_path(argument);
    if (set.contains(adapter.name)) {
      throw Error(ExitCode::kRecipe, "adapter",
                  "two adapters are called '" + adapter.name + "'; name them apart: --adapter NAME=PATH");
    }
    const TrainedSource source = find_trained(adapter.path);
    if (!may_be_same_base(source.base_model, options.model)) {
      log_warning(adapter.path + " was trained on '" + source.base_model + "', and this is '" + options.model + "'");
    }
    load_trained_into(source, set, adapter.name);
  }
}

// "none" is the bare base.
void use(AdapterSet& set, const std::string& name) {
  if (name == kNoAdapter) {
    set.deactivate();
  } else {
    set.activate(name);
  }
}

// Prints the answer as it grows.
void answer(LlamaForCausalLM& model, const Tokenizer& tokenizer, const std::string& prompt,
            const GenerationConfig& config) {
  const std::vector<int64_t> ids = encode_prompt(tokenizer, prompt);
  if (ids.empty()) throw DataError("the prompt is empty; wanted at least one token");
  // Decoded as a whole each time: a character may be spread over several tokens.
  std::vector<int64_t> tokens;
  size_t printed = 0;
  const auto print_upto = [&](size_t end, const std::string& text) {
    if (end <= printed) return;
    std::fwrite(text.data() + printed, 1, end - printed, stdout);
    std::fflush(stdout);
    printed = end;
  };
  generate(model, {ids}, config, [&](size_t, int64_t id) {
    tokens.push_back(id);
    const std::string text = continuation(tokenizer, ids, tokens);
    const bool unfinished = text.ends_with("\xEF\xBF\xBD");
    if (!unfinished) print_upto(text.size(), text);
  });
  const std::string text = continuation(tokenizer, ids, tokens);
  print_upto(text.size(), text);
  std::fputs("\n", stdout);
  std::fflush(stdout);
}

void converse(AdapterSet& set, const Tokenizer& tokenizer, const GenerationConfig& config) {
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    if (line == "/quit") return;
    try {
      if (line.starts_with("/use ")) {
        use(set, line.substr(5));
      } else if (line == "/adapters") {
        for (const std::string& name : set.names()) std::puts((name + (name == set.active() ? " *" : "")).c_str());
        std::puts(set.active().empty() ? "none *" : "none");
        std::fflush(stdout);
      } else if (line[0] == '/') {
        std::fputs("commands are /use NAME, /adapters and /quit; a prompt may begin with a space\n", stderr);
      } else {
        answer(set.model(), tokenizer, line, config);
      }
    } catch (const Error& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
  }
}

void print_answers(AdapterSet& set, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
                   const GenerationConfig& config) {
  const std::vector<std::string> texts = answer_prompts(set, tokenizer, prompts, config);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string adapter = prompts[i].adapter.empty() ? kNoAdapter : prompts[i].adapter;
    const nlohmann::ordered_json row = {{"prompt", prompts[i].text}, {"adapter", adapter}, {"answer", texts[i]}};
    std::puts(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
}

int run(const Options& options) {
  set_threads(options.threads);
  const auto tokenizer = load_tokenizer(options.model);
  const auto model = load_model({.path = options.model, .dtype = options.dtype}, *tokenizer, 0);
  AdapterSet set(*model);
  load_adapters(options, set);
  model->eval();
  GenerationConfig config = options.generation;
  config.eos_ids = end_ids(*model, *tokenizer);

  // One adapter is meant; of several, one has to be said.
  const std::vector<std::string> names = set.names();
  const std::string first = !options.use.empty() ? options.use : names.size() == 1 ? names.front() : kNoAdapter;
  use(set, first);
  if (!options.prompts.empty()) {
    print_answers(set, *tokenizer, load_prompts(options.prompts, set, first), config);
  } else if (options.interactive) {
    converse(set, *tokenizer, config);
  } else {
    if (names.size() > 1 && options.use.empty()) {
      throw Error(ExitCode::kRecipe, "adapter", "several are loaded; say which one answers with --use NAME");
    }
    answer(*model, *tokenizer,
           options.prompt_given ? options.prompt : std::string(std::istreambuf_iterator<char>(std::cin), {}), config);
  }
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  CLI::App app("Continues a text with a model, and with adapters on it.", "lora-generate");
  lora::Options options;
  app.add_option("MODEL", options.model, "A Hugging Face model directory")->required();
  app.add_option("--adapter", options.adapters,
                 "A run or a PEFT adapter directory, PATH or NAME=PATH; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--use", options.use, "Which of the adapters answers, by name; none: the model alone");
  auto* prompt = app.add_option("--prompt", options.prompt, "The text to continue; standard input without it");
  auto* prompts = app.add_option("--prompts", options.prompts,
                                 "Many at once: JSONL of {\"prompt\": ..., \"adapter\": NAME}; answers are JSONL too");
  auto* interactive =
      app.add_flag("--interactive", options.interactive,
                   "Answer each line of standard input; /use NAME switches, /adapters lists, /quit ends");
  prompt->excludes(prompts)->excludes(interactive);
  prompts->excludes(interactive);
  app.add_option("--max-new-tokens", options.generation.max_new_tokens, "Tokens at most")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--temperature", options.generation.temperature, "0: the likeliest token each time")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", options.generation.top_p, "Draw from the likeliest tokens that reach this probability")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", options.generation.seed, "The same seed, the same text");
  app.add_option("--dtype", options.dtype, "float32, bfloat16 or auto")
      ->check(CLI::IsMember({"float32", "bfloat16", "auto"}));
  app.add_option("--threads", options.threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] {
    options.prompt_given = prompt->count() > 0;
    return lora::run(options);
  });
}
