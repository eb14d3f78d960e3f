// lora-generate MODEL [--adapter [NAME=]PATH …] [--chat [--system TEXT]] [--prompt TEXT | --prompts FILE |
// --interactive]

#include <algorithm>
#include <charconv>
#include <cmath>
#include <csignal>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "lora/adapters/adapter_name.h"
#include "lora/app/training/machine.h"
#include "lora/cli/base_options.h"
#include "lora/cli/line_reader.h"
#include "lora/cli/program.h"
#include "lora/data/chat_template.h"
#include "lora/data/sample.h"
#include "lora/data/spelled_tokens.h"
#include "lora/inference/conversation.h"
#include "lora/inference/exact_match.h"
#include "lora/inference/json_answer.h"
#include "lora/inference/prompts.h"
#include "lora/log/log.h"
#include "lora/terminal/busy.h"
#include "lora/terminal/facts.h"
#include "models/base/did_you_mean.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

struct Options {
  AdaptedBaseOptions base;
  std::string prompt, prompts, use, system, chat_template, json_schema;
  std::vector<std::string> logit_bias;
  bool prompt_given = false, interactive = false, chat = false, stats = false, allow_special_tokens = false,
       json = false;
  GenerationConfig generation;
  int64_t threads = 0, log_probabilities = -1;
};

// "ID=BIAS", a token's number in the vocabulary and what is added to its logit.
std::map<int64_t, double> read_logit_bias(const std::vector<std::string>& given) {
  std::map<int64_t, double> biases;
  for (const std::string& one : given) {
    const size_t equals = one.find('=');
    int64_t id = 0;
    double bias = 0;
    const auto whole = [](const std::string& text, auto& value) {
      const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
      return problem == std::errc() && end == text.data() + text.size();
    };
    if (equals == std::string::npos || !whole(one.substr(0, equals), id) || !whole(one.substr(equals + 1), bias) ||
        id < 0 || !std::isfinite(bias)) {
      throw RecipeError("--logit-bias: found '" + one + "', expected ID=BIAS, a token's id and a number");
    }
    biases[id] = bias;
  }
  return biases;
}

// The form of answers, where one is asked for.
std::optional<JsonGrammar> read_json_form(const Options& options) {
  if (options.json) return any_json_object();
  if (options.json_schema.empty()) return std::nullopt;
  nlohmann::ordered_json schema;
  try {
    schema = parse_json<nlohmann::ordered_json>(read_file(options.json_schema));
  } catch (const nlohmann::detail::exception& error) {
    throw RecipeError("--json-schema " + options.json_schema + ": not JSON: " + error.what());
  }
  return read_json_schema(schema);
}

// "none" is the bare base.
void use(AdapterSet& set, const std::string& name) {
  if (name == kNoAdapter) {
    set.deactivate();
  } else {
    set.activate(name);
  }
}

// CLI11's ranges let it through.
std::string nan_problem(const std::string& text) {
  return std::isnan(std::strtod(text.c_str(), nullptr)) ? "found " + text + ", expected a number" : "";
}

// strtoull, by which CLI11 reads it, takes a sign, and the largest number for a larger one.
std::string seed_problem(const std::string& text) {
  uint64_t seed = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, seed);
  return read.ec == std::errc() && read.ptr == end ? "" : "found " + text + ", expected a whole number below 2^64";
}

volatile std::sig_atomic_t interrupted = 0;

// Ctrl-C ends the answer that is being written, or drops the line that is being typed.
void interrupt_answers() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

bool print_piece(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  return interrupted == 0;
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

// Says where texts are longer than the model was made for: beyond it, what it writes is of little worth.
void report_long(const LlamaForCausalLM& model, const std::vector<int64_t>& lengths) {
  const int64_t positions = model.config().max_position_embeddings;
  const int64_t longer = std::ranges::count_if(lengths, [&](int64_t length) { return length > positions; });
  if (longer == 0) return;
  const std::string which = lengths.size() == 1 ? "prompt and answer have "
                                                : with_commas(longer) + " of " + with_commas(std::ssize(lengths)) +
                                                      " prompts and answers have up to ";
  log_warning(which + with_commas(std::ranges::max(lengths)) + " tokens, more than the " + with_commas(positions) +
              " positions that the model was made for");
}

// Beside the answers.
void tell(const std::string& text) { std::fputs(sentence(text, error_console()).c_str(), stderr); }

// Answers texts: as what they are, or as a user's words in a conversation.
class Answerer {
 public:
  Answerer(AdapterSet& set, const Tokenizer& tokenizer, const GenerationConfig& config, const Options& options)
      : set_(set),
        tokenizer_(tokenizer),
        config_(config),
        speed_(options.stats || options.chat),
        system_(!options.system.empty()),
        allow_special_tokens_(options.allow_special_tokens) {
    if (!options.chat) return;
    const auto chat_template = find_chat_template(options.chat_template, tokenizer);
    tell("chat template: " + chat_template->name());
    conversation_.emplace(tokenizer, chat_template, options.system, config);
  }

  // Prints the answer as it grows.
  void answer(const std::string& text) {
    if (!allow_special_tokens_) report_spelled(tokenizer_, {text}, conversation_.has_value());
    auto reading = std::make_unique<Busy>("reading the prompt", error_console());
    const OnText on_text = [&](std::string_view piece) {
      reading.reset();
      return print_piece(piece);
    };
    const StreamedAnswer made =
        conversation_ ? conversation_->say(*set_.model(), text, on_text) : continued(text, on_text);
    reading.reset();
    std::fputs(interrupted != 0 ? " …\n" : "\n", stdout);
    std::fflush(stdout);
    if (speed_) std::fprintf(stderr, "%s\n", speed_line(made).c_str());
    report_long(*set_.model(), {made.length});
  }

  void converse() {
    LineReader lines;
    if (lines.at_terminal()) {
      interrupt_answers();
      tell(commands() + "; Ctrl-C stops an answer or drops a line, /quit or Ctrl-D ends");
    }
    while (const auto line = lines.next(interrupted)) {
      if (line->empty()) continue;
      if (*line == "/quit") return;
      interrupted = 0;
      try {
        obey(*line);
      } catch (const Error& e) {
        report_failure({static_cast<int>(e.code()), e.what()});
      }
    }
  }

 private:
  StreamedAnswer continued(const std::string& text, const OnText& on_text) {
    if (!generator_) generator_.emplace(*set_.model(), config_.kv_dtype);
    return stream_answer(*generator_, tokenizer_, encode_prompt(tokenizer_, text, allow_special_tokens_), config_,
                         on_text);
  }

  std::string commands() const {
    return std::string("commands are /adapter NAME (or /use), /adapters, ") + (conversation_ ? "/reset, " : "") +
           "/quit";
  }

  void say_active() const {
    std::fprintf(stderr, "%s answers\n", set_.active().empty() ? "the base alone" : set_.active().c_str());
  }

  void obey(const std::string& line) {
    if (line.starts_with("/use ") || line.starts_with("/adapter ")) {
      use(set_, line.substr(line.find(' ') + 1));
      generator_.reset();
      if (conversation_) conversation_->model_changed();
      say_active();
    } else if (line == "/adapter" || line == "/use") {
      say_active();
    } else if (line == "/adapters") {
      for (const std::string& name : set_.names()) std::puts((name + (name == set_.active() ? " *" : "")).c_str());
      std::puts(set_.active().empty() ? "none *" : "none");
      std::fflush(stdout);
    } else if (line == "/reset" && conversation_) {
      conversation_->reset();
      std::fprintf(stderr, "forgotten%s\n", system_ ? ", but for what the system says" : "");
    } else if (line[0] == '/') {
      tell(commands() + "; a prompt may begin with a space");
    } else {
      answer(line);
    }
  }

  AdapterSet& set_;
  const Tokenizer& tokenizer_;
  const GenerationConfig config_;
  const bool speed_, system_, allow_special_tokens_;
  std::optional<Conversation> conversation_;
  std::optional<Generator> generator_;
};

nlohmann::ordered_json json_of(const Tokenizer& tokenizer, int64_t id, double log_probability) {
  return {{"id", id}, {"token", tokenizer.piece(id)}, {"logprob", log_probability}};
}

nlohmann::ordered_json json_of(const Tokenizer& tokenizer, const PromptAnswer::Token& token) {
  nlohmann::ordered_json found = json_of(tokenizer, token.id, token.log_probability);
  found["top_logprobs"] = nlohmann::ordered_json::array();
  for (const auto& [id, value] : token.likeliest) found["top_logprobs"].push_back(json_of(tokenizer, id, value));
  return found;
}

void print_answers(AdapterSet& set, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
                   GenerationConfig config, bool allow_special_tokens, int64_t log_probabilities) {
  if (!allow_special_tokens) {
    std::vector<std::string> asked;
    for (const Prompt& prompt : prompts) asked.push_back(prompt.text);
    report_spelled(tokenizer, asked, /*chat=*/false);
  }
  auto busy = std::make_unique<Busy>("answering prompts", error_console());
  config.on_end = [&, answered = int64_t{0}]() mutable { busy->at(++answered, std::ssize(prompts)); };
  const std::vector<PromptAnswer> answers =
      answer_prompts(set, tokenizer, prompts, config, allow_special_tokens, log_probabilities);
  busy.reset();
  std::vector<int64_t> lengths;
  for (const PromptAnswer& answer : answers) lengths.push_back(answer.length);
  report_long(*set.model(), lengths);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string adapter = prompts[i].adapter.empty() ? kNoAdapter : prompts[i].adapter;
    nlohmann::ordered_json row = {{"prompt", prompts[i].text}, {"adapter", adapter}, {"answer", answers[i].text}};
    if (log_probabilities >= 0) {
      row["tokens"] = nlohmann::ordered_json::array();
      for (const PromptAnswer::Token& token : answers[i].tokens) row["tokens"].push_back(json_of(tokenizer, token));
    }
    std::puts(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
}

int run(Options options) {
  options.generation.sampling.logit_bias = read_logit_bias(options.logit_bias);
  std::optional<JsonGrammar> json = read_json_form(options);
  set_threads(options.threads);
  auto busy = std::make_unique<Busy>("reading the model", error_console());
  AdaptedBase base = load_adapted_base(options.base);
  busy.reset();
  const auto& tokenizer = base.shared.tokenizer;
  const auto& model = base.set.model();
  for (const auto& [id, bias] : options.generation.sampling.logit_bias) {
    if (id < model->config().vocab_size) continue;
    throw RecipeError("--logit-bias: the model has no token " + std::to_string(id) + "; expected an id below " +
                      std::to_string(model->config().vocab_size));
  }
  AdapterSet& set = base.set;
  GenerationConfig config = options.generation;
  config.eos_ids = end_ids(*model, *tokenizer);
  if (json) {
    auto tokens = std::make_shared<const TokenTexts>(*tokenizer, model->config().vocab_size);
    config.sampling.json = std::make_shared<const JsonForm>(*std::move(json), std::move(tokens));
  }

  // One adapter is meant; of several, one has to be said.
  const std::vector<std::string> names = set.names();
  const std::string first = !options.use.empty() ? options.use : names.size() == 1 ? names.front() : kNoAdapter;
  use(set, first);
  if (!options.prompts.empty()) {
    std::vector<std::string> unread;
    const std::vector<Prompt> prompts = load_prompts(options.prompts, set, first, unread);
    if (!unread.empty()) log_warning(options.prompts + ": not read: " + listed(unread));
    print_answers(set, *tokenizer, prompts, config, options.allow_special_tokens, options.log_probabilities);
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
  lora::Program app("Continues a text with a model, and with adapters on it.", "lora-generate");
  lora::Options options;
  lora::add_base_options(app, options.base, options.generation.kv_dtype, options.threads);
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
  app.offers["--template"] = [] { return lora::Offer{lora::template_names().known, /*files=*/true}; };
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
  lora::SamplingConfig& sampling = options.generation.sampling;
  app.add_option("--temperature", sampling.temperature, "0: the likeliest token each time")
      ->check(CLI::Range(0.0, 100.0))
      ->check(lora::nan_problem);
  app.add_option("--top-k", sampling.top_k, "Draw from so many of the likeliest tokens; 0: from all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", sampling.top_p, "Draw from the likeliest tokens that reach this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->check(lora::nan_problem);
  app.add_option("--min-p", sampling.min_p, "Draw from tokens at least this times as likely as the likeliest")
      ->check(CLI::Range(0.0, 1.0))
      ->check(lora::nan_problem);
  app.add_option("--repetition-penalty", sampling.repetition_penalty,
                 "Divides the logits of tokens of prompt and answer where they are positive, else multiplies them")
      ->check(CLI::Range(0.01, 100.0))
      ->check(lora::nan_problem);
  app.add_option("--frequency-penalty", sampling.frequency_penalty,
                 "Taken from a token's logit for each time that the answer has it")
      ->check(CLI::Range(-100.0, 100.0))
      ->check(lora::nan_problem);
  app.add_option("--presence-penalty", sampling.presence_penalty, "Taken from the logits of tokens that the answer has")
      ->check(CLI::Range(-100.0, 100.0))
      ->check(lora::nan_problem);
  app.add_option("--logit-bias", options.logit_bias,
                 "ID=BIAS: added to the logit of the token with this id; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--stop", options.generation.stop_texts,
                 "A text that ends the answer, and is no part of it; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  auto* json = app.add_flag("--json", options.json, "Answers are JSON objects");
  app.add_option("--json-schema", options.json_schema,
                 "Answers are JSON values that keep to the JSON Schema in this file; what it may have is in "
                 "docs/generation.md")
      ->check(CLI::ExistingFile)
      ->excludes(json);
  app.add_option(
         "--logprobs", options.log_probabilities,
         "Each row of answers has its tokens with their log-probabilities, and so many of the likeliest instead")
      ->default_str("")
      ->needs(prompts)
      ->check(CLI::Range(int64_t{0}, int64_t{1000}));
  app.add_option("--seed", sampling.seed, "The same seed, the same text")->check(lora::seed_problem);
  return lora::run_program(app, argc, argv, [&] {
    lora::wait_passively(argv);
    options.prompt_given = prompt->count() > 0;
    return lora::run(options);
  });
}
