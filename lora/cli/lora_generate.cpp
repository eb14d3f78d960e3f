// lora-generate MODEL [--adapter [NAME=]PATH …] [--chat [--system TEXT]] [--prompt TEXT | --prompts FILE |
// --interactive]

#include <algorithm>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "lora/adapters/adapter_name.h"
#include "lora/app/source/adapted_base.h"
#include "lora/cli/program.h"
#include "lora/data/sample.h"
#include "lora/data/spelled_tokens.h"
#include "lora/inference/conversation.h"
#include "lora/inference/exact_match.h"
#include "lora/inference/prompts.h"
#include "lora/log/log.h"
#include "models/base/did_you_mean.h"
#include "models/network/pretrained.h"

namespace lora {
namespace {

struct Options {
  AdaptedBaseOptions base;
  std::string prompt, prompts, use, system, chat_template;
  bool prompt_given = false, interactive = false, chat = false, stats = false, allow_special_tokens = false;
  GenerationConfig generation;
  int64_t threads = 0;
};

// "none" is the bare base.
void use(AdapterSet& set, const std::string& name) {
  if (name == kNoAdapter) {
    set.deactivate();
  } else {
    set.activate(name);
  }
}

void print_piece(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// Says which prompts have names of special tokens, which are text in them.
void report_spelled(const Tokenizer& tokenizer, const std::vector<std::string>& prompts, bool chat) {
  const SpelledTokens spelled(tokenizer);
  std::vector<std::string> names;
  size_t count = 0;
  for (const std::string& prompt : prompts) {
    const std::string_view words = std::string_view(prompt).substr(spelled_bos(tokenizer, prompt));
    std::vector<std::string> found;
    spelled.find(words, found);
    spelled.find(words, names);
    count += !found.empty();
  }
  if (count == 0) return;
  const std::string where = prompts.size() == 1
                                ? "the prompt has"
                                : std::to_string(count) + " of " + std::to_string(prompts.size()) + " prompts have";
  log_warning(where + " names of special tokens, which are text there: " + listed(names) +
              (chat ? "" : "; --allow-special-tokens makes them tokens, --chat renders a conversation"));
}

// Answers texts: as what they are, or as a user's words in a conversation.
class Answerer {
 public:
  Answerer(AdapterSet& set, const Tokenizer& tokenizer, const GenerationConfig& config, const Options& options)
      : set_(set),
        tokenizer_(tokenizer),
        config_(config),
        speed_(options.stats || options.chat),
        allow_special_tokens_(options.allow_special_tokens) {
    if (!options.chat) return;
    const auto chat_template = find_chat_template(options.chat_template, tokenizer);
    std::fprintf(stderr, "chat template: %s\n", chat_template->name().c_str());
    conversation_.emplace(tokenizer, chat_template, options.system, config);
  }

  // Prints the answer as it grows.
  void answer(const std::string& text) {
    if (!allow_special_tokens_) report_spelled(tokenizer_, {text}, conversation_.has_value());
    const StreamedAnswer made =
        conversation_ ? conversation_->say(*set_.model(), text, print_piece)
                      : stream_answer(*set_.model(), tokenizer_, encode_prompt(tokenizer_, text, allow_special_tokens_),
                                      config_, print_piece);
    std::fputs("\n", stdout);
    std::fflush(stdout);
    if (speed_) std::fprintf(stderr, "%s\n", speed_line(made).c_str());
  }

  void converse() {
    for (std::string line; std::getline(std::cin, line);) {
      if (line.empty()) continue;
      if (line == "/quit") return;
      try {
        obey(line);
      } catch (const Error& e) {
        std::fprintf(stderr, "%s\n", e.what());
      }
    }
  }

 private:
  void obey(const std::string& line) {
    if (line.starts_with("/use ") || line.starts_with("/adapter ")) {
      use(set_, line.substr(line.find(' ') + 1));
      if (conversation_) conversation_->model_changed();
    } else if (line == "/adapters") {
      for (const std::string& name : set_.names()) std::puts((name + (name == set_.active() ? " *" : "")).c_str());
      std::puts(set_.active().empty() ? "none *" : "none");
      std::fflush(stdout);
    } else if (line == "/reset" && conversation_) {
      conversation_->reset();
    } else if (line[0] == '/') {
      std::fprintf(stderr,
                   "commands are /adapter NAME (or /use), /adapters, %s/quit; a prompt may begin with a space\n",
                   conversation_ ? "/reset, " : "");
    } else {
      answer(line);
    }
  }

  AdapterSet& set_;
  const Tokenizer& tokenizer_;
  const GenerationConfig config_;
  const bool speed_, allow_special_tokens_;
  std::optional<Conversation> conversation_;
};

void print_answers(AdapterSet& set, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
                   const GenerationConfig& config, bool allow_special_tokens) {
  if (!allow_special_tokens) {
    std::vector<std::string> asked;
    for (const Prompt& prompt : prompts) asked.push_back(prompt.text);
    report_spelled(tokenizer, asked, /*chat=*/false);
  }
  const std::vector<std::string> texts = answer_prompts(set, tokenizer, prompts, config, allow_special_tokens);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string adapter = prompts[i].adapter.empty() ? kNoAdapter : prompts[i].adapter;
    const nlohmann::ordered_json row = {{"prompt", prompts[i].text}, {"adapter", adapter}, {"answer", texts[i]}};
    std::puts(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
}

int run(const Options& options) {
  set_threads(options.threads);
  AdaptedBase base = load_adapted_base(options.base);
  const auto& tokenizer = base.shared.tokenizer;
  const auto& model = base.set.model();
  AdapterSet& set = base.set;
  GenerationConfig config = options.generation;
  config.eos_ids = end_ids(*model, *tokenizer);

  // One adapter is meant; of several, one has to be said.
  const std::vector<std::string> names = set.names();
  const std::string first = !options.use.empty() ? options.use : names.size() == 1 ? names.front() : kNoAdapter;
  use(set, first);
  if (!options.prompts.empty()) {
    print_answers(set, *tokenizer, load_prompts(options.prompts, set, first), config, options.allow_special_tokens);
    return 0;
  }
  Options settled = options;
  if (settled.chat_template.empty()) settled.chat_template = base.templates.at(set.active());
  Answerer answerer(set, *tokenizer, config, settled);
  if (options.interactive) {
    answerer.converse();
    return 0;
  }
  if (names.size() > 1 && options.use.empty()) {
    throw AdapterError("several are loaded; say which one answers with --use NAME");
  }
  answerer.answer(options.prompt_given ? options.prompt : std::string(std::istreambuf_iterator<char>(std::cin), {}));
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  CLI::App app("Continues a text with a model, and with adapters on it.", "lora-generate");
  lora::Options options;
  app.add_option("MODEL", options.base.model,
                 "A Hugging Face model directory; or a run or a PEFT adapter directory, whose base is found by itself")
      ->required();
  app.add_option("--adapter", options.base.adapters,
                 "A run or a PEFT adapter directory, PATH or NAME=PATH; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  lora::add_ignore_option(app, options.base.ignored_options);
  app.add_option("--use", options.use, "Which of the adapters answers, by name; none: the model alone");
  auto* prompt = app.add_option("--prompt", options.prompt, "The text to continue; standard input without it");
  auto* prompts = app.add_option("--prompts", options.prompts,
                                 "Many at once: JSONL of {\"prompt\": ..., \"adapter\": NAME}; answers are JSONL too");
  auto* interactive =
      app.add_flag("--interactive", options.interactive,
                   "Answer each line of standard input; /adapter NAME switches, /adapters lists, /quit ends");
  auto* chat = app.add_flag("--chat", options.chat,
                            "Prompts are a user's words, by the model's chat template; with --interactive all that was "
                            "said counts, and /reset forgets it");
  app.add_option("--system", options.system, "What the system says at the beginning of a chat")->needs(chat);
  app.add_option("--template", options.chat_template,
                 "The chat's template as in a recipe's data.template: auto, a name, a .jinja file or a template; else "
                 "the one that the adapter's run was trained with")
      ->needs(chat);
  app.add_flag("--allow-special-tokens", options.allow_special_tokens,
               "The name of a special token in a prompt is this token; otherwise it is text")
      ->excludes(chat);
  app.add_flag("--stats", options.stats, "Tells on standard error how fast the prompt was read and the answer written");
  prompt->excludes(prompts)->excludes(interactive);
  prompts->excludes(interactive)->excludes(chat);
  app.add_option("--max-new-tokens", options.generation.max_new_tokens, "Tokens at most")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--temperature", options.generation.temperature, "0: the likeliest token each time")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", options.generation.top_p, "Draw from the likeliest tokens that reach this probability")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", options.generation.seed, "The same seed, the same text");
  app.add_option("--dtype", options.base.dtype, "float32, bfloat16 or auto")
      ->check(CLI::IsMember(lora::dtype_names().known));
  app.add_option("--threads", options.threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
  return lora::run_program(app, argc, argv, [&] {
    options.prompt_given = prompt->count() > 0;
    return lora::run(options);
  });
}
