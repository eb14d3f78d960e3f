// lora-generate MODEL [--adapter PATH] [--prompt TEXT]

#include <iostream>
#include <iterator>

#include "lora/adapters/peft.h"
#include "lora/cli/program.h"
#include "lora/data/sample.h"
#include "lora/run/exact_match.h"
#include "lora/run/session.h"
#include "models/generation.h"

namespace lora {
namespace {

struct Options {
  std::string model, adapter, prompt;
  std::string dtype = "auto";
  GenerationConfig generation;
  int64_t threads = 0;
};

int answer(const Options& options, bool prompt_given) {
  set_threads(options.threads);
  const auto tokenizer = load_tokenizer(options.model);
  const auto model = load_model({.path = options.model, .dtype = options.dtype}, *tokenizer, 0);
  if (!options.adapter.empty()) {
    AdapterConfig config = read_peft_config(options.adapter).config;
    config.init_from = options.adapter;
    inject(*model, config, 0);
  }
  model->eval();
  const std::string prompt = prompt_given ? options.prompt : std::string(std::istreambuf_iterator<char>(std::cin), {});
  const std::vector<int64_t> ids = encode_prompt(*tokenizer, prompt);
  if (ids.empty()) throw DataError("the prompt is empty; wanted at least one token");
  GenerationConfig config = options.generation;
  config.eos_ids = end_ids(*model, *tokenizer);

  // Decoded as a whole each time: a character may be spread over several tokens.
  std::vector<int64_t> tokens;
  size_t printed = 0;
  const auto print_upto = [&](size_t end, const std::string& text) {
    if (end <= printed) return;
    std::fwrite(text.data() + printed, 1, end - printed, stdout);
    std::fflush(stdout);
    printed = end;
  };
  generate(*model, {ids}, config, [&](size_t, int64_t id) {
    tokens.push_back(id);
    const std::string text = continuation(*tokenizer, ids, tokens);
    const bool unfinished = text.ends_with("\xEF\xBF\xBD");
    if (!unfinished) print_upto(text.size(), text);
  });
  const std::string text = continuation(*tokenizer, ids, tokens);
  print_upto(text.size(), text);
  std::fputs("\n", stdout);
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  CLI::App app("Continues a text with a model, and with an adapter on it.", "lora-generate");
  lora::Options options;
  app.add_option("MODEL", options.model, "A Hugging Face model directory")->required();
  app.add_option("--adapter", options.adapter, "A PEFT adapter directory");
  const auto* prompt = app.add_option("--prompt", options.prompt, "The text to continue; standard input without it");
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
  return lora::run_program(app, argc, argv, [&] { return lora::answer(options, prompt->count() > 0); });
}
