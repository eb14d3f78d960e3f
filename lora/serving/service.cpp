#include "lora/serving/service.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include "lora/adapters/adapter_name.h"
#include "lora/data/sample.h"
#include "lora/inference/chat_prompt.h"
#include "lora/inference/json_answer.h"
#include "lora/log/log.h"
#include "lora/serving/api_error.h"
#include "lora/serving/embedding_exchange.h"
#include "lora/serving/exchange.h"
#include "lora/serving/page.h"
#include "lora/terminal/text.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr char kModels[] = "/v1/models", kHealth[] = "/health";
// The routes by name, for metrics and for refusing another method.
const std::map<std::string, std::string>& routes() {
  static const std::map<std::string, std::string> all = {{"/", "GET"},
                                                         {kHealth, "GET"},
                                                         {"/metrics", "GET"},
                                                         {kModels, "GET"},
                                                         {"/v1/completions", "POST"},
                                                         {"/v1/chat/completions", "POST"},
                                                         {"/v1/embeddings", "POST"},
                                                         {"/v1/load_lora_adapter", "POST"},
                                                         {"/v1/unload_lora_adapter", "POST"}};
  return all;
}

HttpResponse json_response(const Json& body) {
  return {.body = body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Json model_object(const ServedModel& model) {
  Json object = {{"id", model.name}, {"object", "model"}, {"created", model.created}, {"owned_by", "lora-train"}};
  object["root"] = model.root.empty() ? model.name : model.root;
  if (!model.root.empty()) object["parent"] = model.root;
  return object;
}

// The texts of an object with these keys and no others.
std::map<std::string, std::string> read_texts(const std::string& body, const std::vector<std::string>& keys) {
  const Json object = parse_json_or_discard<Json>(body);
  if (!object.is_object()) throw ApiError(400, "the body is not an object of JSON");
  std::map<std::string, std::string> texts;
  for (const auto& item : object.items()) {
    if (std::ranges::find(keys, item.key()) == keys.end()) {
      throw ApiError(400, "'" + item.key() + "' is not a parameter" + did_you_mean(item.key(), keys), item.key());
    }
    if (!item.value().is_string()) throw ApiError(400, "'" + item.key() + "': expected a text", item.key());
    texts[item.key()] = item.value().get<std::string>();
  }
  for (const std::string& key : keys) {
    if (!texts.contains(key)) throw ApiError(400, "'" + key + "' is missing", key);
  }
  return texts;
}

// Links are followed before the comparison, so that none leads out.
fs::path below(const fs::path& directory, const std::string& path) {
  if (path.find('\0') != path.npos) throw ApiError(400, "'lora_path': has a zero byte", "lora_path");  // a path's end
  std::error_code error;
  const fs::path root = fs::canonical(directory, error);
  const fs::path found = error ? fs::path() : fs::canonical(root / path, error);
  const auto parted = std::mismatch(root.begin(), root.end(), found.begin(), found.end());
  if (error || parted.first != root.end()) {
    throw ApiError(404, "'lora_path': no such directory below the one that adapters are loaded from", "lora_path");
  }
  return found;
}

// What a request says and no token of the prompt holds would be lost without a word. Who speaks, and of which call a
// result is, are no words: OpenAI's clients send them for every template.
void expect_read(const std::set<std::string>& unread) {
  for (const std::string& key : unread) {
    if (key == "name" || key == "tool_call_id") continue;
    if (key == "tools") throw ApiError(400, "'tools': the model's chat template has no place for them", key);
    throw ApiError(400, "'messages': the model's chat template does not read '" + key.substr(0, 200) + "'", "messages");
  }
}

SamplingConfig sampling_of(const CompletionRequest& request, uint64_t seed, std::shared_ptr<const JsonForm> json) {
  return {.temperature = request.temperature,
          .top_k = request.top_k,
          .top_p = request.top_p,
          .min_p = request.min_p,
          .repetition_penalty = request.repetition_penalty,
          .frequency_penalty = request.frequency_penalty,
          .presence_penalty = request.presence_penalty,
          .logit_bias = request.logit_bias,
          .seed = seed,
          .json = std::move(json)};
}

}  // namespace

struct Service::State {
  State(ServedModels& given_models, Scheduler& given_scheduler, ServiceOptions given)
      : models(given_models), scheduler(given_scheduler), options(std::move(given)) {}

  HttpResponse respond(const HttpRequest& request);
  HttpResponse list_models(const std::string& path);
  HttpResponse load_adapter(const std::string& body);
  HttpResponse unload_adapter(const std::string& body);
  void complete(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void embed(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void submit(std::vector<AnswerJob> jobs);
  std::shared_ptr<const ServedModel> model_of(const std::string& name);
  std::vector<std::vector<int64_t>> prompts_of(const CompletionRequest& request, const ServedModel& model);
  std::vector<int64_t> tokens_of(const PromptInput& prompt, const std::string& param);
  ApiError too_long(size_t length, const std::string& param, const char* whole) const;
  int64_t room_for(const CompletionRequest& request, const std::vector<int64_t>& prompt) const;
  std::shared_ptr<const JsonForm> form_of(const CompletionRequest& request);
  void forget(const std::shared_ptr<const ServedModel>& model);

  ServedModels& models;
  Scheduler& scheduler;
  const ServiceOptions options;
  ServingMetrics metrics;
  std::mutex making_texts;
  std::shared_ptr<const TokenTexts> token_texts;  // made for the first answer of JSON
  // Long requests take seconds to read; others do not wait for them.
  boost::asio::thread_pool reader{1}, long_reader{1};
};

Service::Service(ServedModels& models, Scheduler& scheduler, ServiceOptions options)
    : state_(std::make_unique<State>(models, scheduler, std::move(options))) {}
Service::~Service() { finish(); }

void Service::finish() {
  state_->reader.join();
  state_->long_reader.join();
}

void Service::answer(HttpRequest request, std::shared_ptr<HttpReply> reply) {
  // Whether the server lives does not wait for the requests that are read.
  if (request.path == kHealth) return reply->send(state_->respond(request));
  constexpr size_t kLong = 64 << 10;
  auto& reader = request.body.size() > kLong ? state_->long_reader : state_->reader;
  boost::asio::post(reader, [this, request = std::move(request), reply = std::move(reply)] {
    try {
      if (request.path == "/v1/chat/completions" || request.path == "/v1/completions") {
        if (request.method == "POST") return state_->complete(request, reply);
      }
      if (request.path == "/v1/embeddings" && request.method == "POST") return state_->embed(request, reply);
      reply->send(state_->respond(request));
    } catch (const ApiError& error) {
      reply->send(error_response(error));
    } catch (const Error& error) {
      reply->send(error_response(ApiError(400, without_component(error))));
    } catch (const std::exception& error) {
      log_error(request.path + ": " + error.what());
      reply->send(error_response(ApiError(500, "the request met an internal error")));
    }
  });
}

void Service::note(const HttpAccess& access) {
  const bool is_model = access.path.starts_with(std::string(kModels) + "/");
  const std::string route = is_model ? kModels : routes().contains(access.path) ? access.path : "other";
  state_->metrics.count_request(route, access.status, access.seconds);
  std::string path;  // as the client has it, without what would forge a line
  for (const char c : access.path.substr(0, 200)) path += c > ' ' && c < 0x7F ? c : '?';
  log_info(access.peer + " " + access.method + " " + path + " " +
           (access.status == 0 ? "client left" : std::to_string(access.status)) + " " + std::to_string(access.bytes) +
           " bytes " + fixed(access.seconds, 3) + " s");
}

HttpResponse Service::State::respond(const HttpRequest& request) {
  const std::string& path = request.path;
  if (path.starts_with(std::string(kModels) + "/") && request.method == "GET") return list_models(path);
  const auto route = routes().find(path);
  if (route == routes().end()) throw ApiError(404, "there is nothing at this path");
  if (request.method != route->second && !(request.method == "HEAD" && route->second == "GET")) {
    HttpResponse response = error_response(ApiError(405, "expected the method " + route->second));
    response.fields.emplace_back("Allow", route->second);
    return response;
  }
  if (path == "/") return page();
  if (path == kHealth) return json_response({{"status", "ok"}});
  if (path == "/metrics") return {.type = "text/plain; version=0.0.4", .body = metrics.text(scheduler.counts())};
  if (path == kModels) return list_models("");
  return path == "/v1/load_lora_adapter" ? load_adapter(request.body) : unload_adapter(request.body);
}

// `path`: of one model; empty: of all.
HttpResponse Service::State::list_models(const std::string& path) {
  if (path.empty()) {
    Json list = Json::array();
    for (const auto& model : models.all()) list.push_back(model_object(*model));
    return json_response({{"object", "list"}, {"data", list}});
  }
  return json_response(model_object(*model_of(path.substr(std::string(kModels).size() + 1))));
}

HttpResponse Service::State::load_adapter(const std::string& body) {
  if (options.adapters.empty()) throw ApiError(403, "this server was started without --adapters-from");
  const auto texts = read_texts(body, {"lora_name", "lora_path"});
  const std::string& name = texts.at("lora_name");
  if (const std::string problem = adapter_name_problem(name); !problem.empty()) {
    throw ApiError(400, "'lora_name': " + problem, "lora_name");
  }
  const auto replaced = models.load(name, below(options.adapters, texts.at("lora_path")));
  if (replaced) forget(replaced);
  log_info("adapter " + name + (replaced ? " loaded anew" : " loaded"));
  return json_response({{"status", replaced ? "replaced" : "loaded"}, {"lora_name", name}});
}

HttpResponse Service::State::unload_adapter(const std::string& body) {
  if (options.adapters.empty()) throw ApiError(403, "this server was started without --adapters-from");
  const std::string name = read_texts(body, {"lora_name"}).at("lora_name");
  const auto gone = models.unload(name);
  if (!gone) throw ApiError(404, "there is no such adapter", "lora_name", "model_not_found");
  forget(gone);
  log_info("adapter " + name + " unloaded");
  return json_response({{"status", "unloaded"}, {"lora_name", name}});
}

void Service::State::forget(const std::shared_ptr<const ServedModel>& model) {
  scheduler.between_passes([&] { scheduler.forget(model->snapshot); });
}

std::shared_ptr<const ServedModel> Service::State::model_of(const std::string& name) {
  if (auto model = models.find(name)) return model;
  std::vector<std::string> names;
  for (const auto& model : models.all()) names.push_back(model->name);
  throw ApiError(404,
                 "there is no model '" + name.substr(0, 200) + "'" + did_you_mean(name, names) + "; expected one of " +
                     listed(names),
                 "model", "model_not_found");
}

std::vector<int64_t> Service::State::tokens_of(const PromptInput& prompt, const std::string& param) {
  if (const auto* text = std::get_if<std::string>(&prompt)) return encode_prompt(models.tokenizer(), *text);
  const auto& ids = std::get<std::vector<int64_t>>(prompt);
  const int64_t rows = models.network().config().vocab_size;
  for (const int64_t id : ids) {
    if (id >= rows) {
      throw ApiError(
          400, "'" + param + "': found the token " + std::to_string(id) + ", and the model has " + std::to_string(rows),
          param);
    }
  }
  return ids;
}

std::vector<std::vector<int64_t>> Service::State::prompts_of(const CompletionRequest& request,
                                                             const ServedModel& model) {
  std::vector<std::vector<int64_t>> prompts;
  if (request.is_chat) {
    if (!model.chat) throw ApiError(400, "the model has no chat template: " + model.chat_problem, "messages");
    std::set<std::string> unread;
    prompts.push_back(chat_prompt(models.tokenizer(), *model.chat, request.chat, &unread));
    expect_read(unread);
  }
  for (const PromptInput& prompt : request.prompts) prompts.push_back(tokens_of(prompt, "prompt"));
  return prompts;
}

ApiError Service::State::too_long(size_t length, const std::string& param, const char* whole) const {
  return {400,
          "'" + param + "' has " + std::to_string(length) + " tokens, and " + whole + " may have " +
              std::to_string(options.context),
          param, "context_length_exceeded"};
}

// How many tokens an answer to the prompt may have.
int64_t Service::State::room_for(const CompletionRequest& request, const std::vector<int64_t>& prompt) const {
  const char* param = request.is_chat ? "messages" : "prompt";
  if (prompt.empty()) throw ApiError(400, "the prompt has no token", param);
  const auto length = static_cast<int64_t>(prompt.size());
  if (length >= options.context) {
    throw too_long(prompt.size(), param, "prompt and answer together");
  }
  int64_t room = options.context - length;
  if (options.max_tokens > 0) room = std::min(room, options.max_tokens);
  return std::min(room, request.max_tokens.value_or(request.is_chat ? room : 16));  // 16 is OpenAI's for texts
}

std::shared_ptr<const JsonForm> Service::State::form_of(const CompletionRequest& request) {
  if (!request.json) return nullptr;
  const auto texts = [&] {
    const std::scoped_lock lock(making_texts);
    if (!token_texts) {
      token_texts = std::make_shared<const TokenTexts>(models.tokenizer(), models.network().config().vocab_size);
    }
    return token_texts;
  }();
  return std::make_shared<const JsonForm>(*request.json, texts);
}

void Service::State::complete(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const CompletionRequest asked =
      request.path == "/v1/chat/completions" ? read_chat_request(request.body) : read_completion_request(request.body);
  const auto model = model_of(asked.model);
  const int64_t rows = models.network().config().vocab_size;
  for (const auto& [id, bias] : asked.logit_bias) {
    if (id < rows) continue;
    throw ApiError(400,
                   "'logit_bias': found token " + std::to_string(id) + ", and the model has " + std::to_string(rows),
                   "logit_bias");
  }
  const auto prompts = prompts_of(asked, *model);
  const auto json = form_of(asked);
  const uint64_t seed = asked.seed ? *asked.seed : std::random_device{}();
  const size_t answers = prompts.size() * static_cast<size_t>(asked.count);
  const auto exchange = std::make_shared<Exchange>(asked, model, models.tokenizer(), metrics, reply, answers);
  std::vector<AnswerJob> jobs;
  for (const auto& prompt : prompts) {
    const int64_t room = room_for(asked, prompt);
    for (int64_t i = 0; i < asked.count; ++i) {
      const size_t index = jobs.size();
      jobs.push_back({.model = model->snapshot,
                      .prompt = prompt,
                      .sampling = sampling_of(asked, seed + index, json),
                      .max_tokens = room,
                      .end_ids = asked.is_chat ? model->chat_end_ids : model->end_ids,
                      .stop = asked.stop,
                      .top_logprobs = asked.top_logprobs,
                      .on_piece = [exchange, index](AnswerPiece piece) { exchange->take(index, std::move(piece)); },
                      .gone = [exchange] { return exchange->is_over(); }});
    }
  }
  submit(std::move(jobs));
}

void Service::State::embed(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const EmbeddingRequest asked = read_embedding_request(request.body);
  const auto model = model_of(asked.model);
  const int64_t hidden = models.network().config().hidden_size;
  if (asked.dimensions.value_or(1) > hidden) {
    throw ApiError(
        400,
        "'dimensions': found " + std::to_string(*asked.dimensions) + ", and the model has " + std::to_string(hidden),
        "dimensions");
  }
  const auto exchange = std::make_shared<EmbeddingExchange>(asked, model->name, reply);
  std::vector<AnswerJob> jobs;
  for (const PromptInput& input : asked.inputs) {
    const size_t index = jobs.size();
    AnswerJob job{.model = model->snapshot,
                  .prompt = tokens_of(input, "input"),
                  .sampling = {},
                  .max_tokens = 1,
                  .end_ids = {},
                  .stop = {},
                  .top_logprobs = {},
                  .on_mean = [exchange, index](std::span<const double> mean) { exchange->take_mean(index, mean); },
                  .on_piece = [exchange](const AnswerPiece& piece) { exchange->take(piece); },
                  .gone = [exchange] { return exchange->is_over(); }};
    if (job.prompt.empty()) throw ApiError(400, "a text has no token", "input");
    if (std::ssize(job.prompt) > options.context) throw too_long(job.prompt.size(), "input", "a text");
    jobs.push_back(std::move(job));
  }
  submit(std::move(jobs));
}

void Service::State::submit(std::vector<AnswerJob> jobs) {
  if (!scheduler.submit(std::move(jobs))) {
    throw ApiError(429, "too many requests wait already; try again", "", "overloaded");
  }
}

}  // namespace lora
