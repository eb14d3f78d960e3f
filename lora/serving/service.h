#pragma once
// What the server answers: OpenAI's API for the models that are served, and what runs beside it.
//
//   GET  /                        the page
//   GET  /health                  {"status": "ok"}
//   GET  /metrics                 Prometheus
//   GET  /v1/models[/NAME]
//   POST /v1/chat/completions, /v1/completions, /v1/embeddings
//   POST /v1/load_lora_adapter    {"lora_name", "lora_path"}: below the adapters' directory, where one is given
//   POST /v1/unload_lora_adapter  {"lora_name"}

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "lora/serving/http_server.h"
#include "lora/serving/scheduler.h"
#include "lora/serving/served_models.h"
#include "lora/serving/serving_metrics.h"

namespace lora {

struct ServiceOptions {
  int64_t context = 0;             // tokens of prompt and answer at most; at most the model's positions
  int64_t max_tokens = 0;          // of an answer; 0: up to the context
  std::filesystem::path adapters;  // adapters may be loaded from below it; empty: they may not
};

// Borrows the models and the scheduler. Requests are read and tokenised on two threads of its own: long
// ones, which take seconds, on one of them.
class Service {
 public:
  Service(ServedModels& models, Scheduler& scheduler, ServiceOptions options);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Any thread; returns at once.
  void answer(HttpRequest request, std::shared_ptr<HttpReply> reply);
  void note(const HttpAccess& access);
  // Replies that are being made. None may be left when the HTTP server goes.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lora
