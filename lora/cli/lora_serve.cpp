// lora-serve MODEL [--adapter [NAME=]PATH …] [--host 127.0.0.1] [--port 8080]

#include <optional>

#include "lora/app/source/named_path.h"
#include "lora/app/training/machine.h"
#include "lora/cli/base_options.h"
#include "lora/cli/program.h"
#include "lora/data/chat_template.h"
#include "lora/log/log.h"
#include "lora/serving/access_rules.h"
#include "lora/serving/http_server.h"
#include "lora/serving/scheduler.h"
#include "lora/serving/served_models.h"
#include "lora/serving/service.h"
#include "lora/serving/serving_error.h"
#include "lora/terminal/busy.h"
#include "models/base/did_you_mean.h"

namespace lora {
namespace {

struct Options {
  AdaptedBaseOptions base;
  std::string host = "127.0.0.1", name, key_file, chat_template;
  uint16_t port = 8080;
  KvDtype kv_dtype = KvDtype::kModel;
  bool insecure = false;
  int64_t threads = 0, drain_seconds = 30, cache_mib = 256;
  SchedulerLimits scheduler;
  ServiceOptions service;
};

// Tokens that a request may have: the model's positions, and what a device has pages for.
int64_t settle_context(int64_t asked, const ModelConfig& config, const BatchDecoder& decoder) {
  const int64_t positions = config.max_position_embeddings;
  if (asked > positions) {
    throw RecipeError("--context " + std::to_string(asked) + ": the model has " + std::to_string(positions) +
                      " positions");
  }
  const int64_t most = asked > 0 ? asked : positions;
  const int64_t room = decoder.most_pages() * kPageTokens;
  if (most <= room) return most;
  if (asked > 0) {
    throw Error(ExitCode::kModel, "memory",
                "--context " + std::to_string(asked) + ": the GPU has room for the keys and values of " +
                    std::to_string(room) +
                    " tokens; expected no more than these, --kv-cache-dtype int8 or --quantization nf4");
  }
  log_info("a request may have " + std::to_string(room) + " tokens, for which the GPU has room, of the model's " +
           std::to_string(positions));
  return room;
}

void expect_safe(const Options& options, const HttpServer& server) {
  if (server.is_loopback() || !options.key_file.empty() || options.insecure) return;
  throw ServingError("--host " + options.host +
                     ": other machines reach this address; expected --api-key-file FILE, or --insecure");
}

int run(Options options) {
  set_threads(options.threads);
  AccessRules rules;
  if (!options.key_file.empty()) rules.keys = read_keys(options.key_file);

  // The port is taken before the model is read: an error then costs nothing.
  std::optional<Service> service;
  HttpServer server(options.host, options.port, {},
                    {.screen = [&rules](const HttpRequest& head) { return refusal(rules, head); },
                     .answer =
                         [&service](HttpRequest request, std::shared_ptr<HttpReply> reply) {
                           service->answer(std::move(request), std::move(reply));
                         },
                     .done = [&service](const HttpAccess& access) { service->note(access); }});
  expect_safe(options, server);
  rules.is_loopback = server.is_loopback();

  auto busy = std::make_unique<Busy>("reading the model", error_console());
  AdaptedBase base = load_adapted_base(options.base);
  busy.reset();
  const ModelConfig& config = base.set.model()->config();
  options.scheduler.cache_bytes = options.cache_mib << 20;
  if (const auto problem = BatchDecoder::problem(*base.set.model())) throw ModelError(base.model + ": " + *problem);
  BatchDecoder decoder(*base.set.model(), options.kv_dtype);
  options.service.context = settle_context(options.service.context, config, decoder);
  ServedModels models(base, decoder, options.name.empty() ? named_path(base.model).name : options.name,
                      options.chat_template);
  std::vector<std::string> names;
  for (const auto& model : models.all()) names.push_back(model->name);
  {
    Scheduler scheduler(decoder, models.tokenizer(), options.scheduler);
    service.emplace(models, scheduler, options.service);
    const at::Device device = base.set.model()->device();
    if (!device.is_cpu()) {
      log_info(device.str() + " has room for the keys and values of " +
               std::to_string(decoder.most_pages() * kPageTokens) + " tokens");
    }
    log_info("serves " + listed(names) + " at http://" + options.host + ":" + std::to_string(server.port()));
    const int signal = server.run(options.drain_seconds);
    log_info(signal == 0 ? "ended" : "ended by signal " + std::to_string(signal));
    service->finish();
  }
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  lora::Program app("Answers requests over HTTP as OpenAI's API does, for a model and adapters on it.", "lora-serve");
  lora::Options options;
  lora::add_base_options(app, options.base, options.kv_dtype, options.threads);
  app.add_option("--host", options.host, "The address to listen at; 0.0.0.0: all of this machine")
      ->capture_default_str();
  app.add_option("--port", options.port, "The port; 0: a free one")->capture_default_str();
  app.add_option("--model-name", options.name, "What requests call the base; else the last part of its directory");
  app.add_option("--api-key-file", options.key_file, "Requests need one of the keys in this file, one a line")
      ->check(CLI::ExistingFile);
  app.add_flag("--insecure", options.insecure, "Serve other machines without a key");
  app.add_option("--adapters-from", options.service.adapters,
                 "Requests may load adapters from below this directory (/v1/load_lora_adapter), and unload them")
      ->check(CLI::ExistingDirectory);
  app.offers["--template"] = [] { return lora::Offer{lora::template_names().known, /*files=*/true}; };
  app.add_option("--template", options.chat_template,
                 "The chat template as in a recipe's data.template; else each adapter's and the model's own");
  app.add_option("--context", options.service.context, "Tokens of prompt and answer at most; 0: the model's positions")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-tokens", options.service.max_tokens, "Tokens of an answer at most; 0: as the context has room")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--at-once", options.scheduler.at_once, "Answers that are written side by side")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--queue", options.scheduler.waiting, "Answers that may wait; more are refused with 429")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--prompt-piece", options.scheduler.prompt_piece,
                 "Tokens of a prompt that are read between two tokens of other answers")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--prefix-cache", options.cache_mib, "MiB for texts that were read, so that they are not read again")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--drain", options.drain_seconds, "Seconds that open requests have after SIGTERM")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  return lora::run_program(app, argc, argv, [&] {
    lora::wait_passively(argv);
    return lora::run(options);
  });
}
