#include "lora/serving/completion_request.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "lora/serving/api_error.h"
#include "lora/serving/request_values.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostStops = 16, kMostPrompts = 64;
constexpr int64_t kMostAnswers = 16, kMostLogprobs = 20;

std::vector<std::string> stops(const Json& value) {
  std::vector<std::string> found;
  const auto add = [&](const Json& one) {
    found.push_back(text_in("stop", one));
    if (found.back().empty()) refuse_value("stop", "texts that are not empty", value);
  };
  if (value.is_array()) {
    for (const Json& one : value) add(one);
  } else {
    add(value);
  }
  if (found.size() > kMostStops) refuse_value("stop", "at most " + std::to_string(kMostStops) + " texts", value);
  return found;
}

std::map<int64_t, double> biases(const Json& value) {
  if (!value.is_object()) refuse_value("logit_bias", "an object {token id: bias}", value);
  std::map<int64_t, double> found;
  for (const auto& item : value.items()) {
    const std::string& key = item.key();
    if (key.empty() || key.size() > 18 || key.find_first_not_of("0123456789") != std::string::npos) {
      refuse_value("logit_bias", "token ids as keys", value);
    }
    if (!found.emplace(std::stoll(key), number_in("logit_bias", item.value(), -100, 100)).second) {
      refuse_value("logit_bias", "each token once", value);
    }
  }
  return found;
}

void read_stream_options(const Json& value, CompletionRequest& request) {
  if (!value.is_object()) refuse_value("stream_options", "an object", value);
  for (const auto& item : value.items()) {
    if (item.key() == "include_usage") {
      request.stream_usage = flag_in("stream_options.include_usage", item.value());
    } else if (item.key() != "include_obfuscation") {
      throw ApiError(400, "'stream_options." + item.key() + "' is not a parameter", "stream_options");
    }
  }
}

// Answers keep to the schema whatever `strict` says.
void read_response_format(const Json& value, CompletionRequest& request) {
  const std::string param = "response_format";
  expect_keys(param, value, {"type", "json_schema"});
  const auto type = value.find("type");
  const auto schema = value.find("json_schema");
  if (type == value.end() || (*type != "text" && *type != "json_object" && *type != "json_schema")) {
    refuse_value(param, R"({"type": "text"}, "json_object" or "json_schema")", value);
  }
  if ((*type == "json_schema") != (schema != value.end())) {
    throw ApiError(400, "'response_format': \"type\": \"json_schema\" and the key 'json_schema' go together", param);
  }
  if (*type == "text") return;
  if (*type == "json_object") {
    request.json = any_json_object();
    return;
  }
  expect_keys("response_format.json_schema", *schema, {"name", "description", "schema", "strict"});
  for (const char* key : {"name", "schema"}) {
    if (!schema->contains(key))
      throw ApiError(400, std::string("'response_format': 'json_schema' has no '") + key + "'", param);
  }
  text_in("response_format.json_schema.name", (*schema)["name"]);
  if (const auto strict = schema->find("strict"); strict != schema->end() && !strict->is_null()) {
    flag_in("response_format.json_schema.strict", *strict);
  }
  request.json = read_json_schema((*schema)["schema"]);
}

using Reader = std::function<void(const Json& value, CompletionRequest& request)>;
using Readers = std::vector<std::pair<std::string, Reader>>;

Reader ignored() {
  return [](const Json&, CompletionRequest&) {};
}
// A key that may only ask for what is done anyway.
Reader only(const std::string& param, std::initializer_list<Json> harmless) {
  return [param, values = std::vector<Json>(harmless)](const Json& value, CompletionRequest&) {
    if (std::ranges::find(values, value) == values.end()) {
      throw ApiError(400, "'" + param + "': this server has no such thing; leave it out", param);
    }
  };
}

// What both kinds have in common.
const Readers& shared_readers() {
  static const Readers readers = {
      {"model", [](const Json& v, CompletionRequest& r) { r.model = text_in("model", v); }},
      {"max_tokens",
       [](const Json& v, CompletionRequest& r) { r.max_tokens = integer_in("max_tokens", v, 1, kAnyInteger); }},
      {"temperature", [](const Json& v, CompletionRequest& r) { r.temperature = number_in("temperature", v, 0, 100); }},
      {"top_p", [](const Json& v, CompletionRequest& r) { r.top_p = number_in("top_p", v, 0, 1); }},
      {"min_p", [](const Json& v, CompletionRequest& r) { r.min_p = number_in("min_p", v, 0, 1); }},
      {"top_k", [](const Json& v,
                   CompletionRequest& r) { r.top_k = std::max<int64_t>(0, integer_in("top_k", v, -1, kAnyInteger)); }},
      {"repetition_penalty",
       [](const Json& v, CompletionRequest& r) {
         r.repetition_penalty = number_in("repetition_penalty", v, 0.01, 100);
       }},
      {"frequency_penalty",
       [](const Json& v, CompletionRequest& r) { r.frequency_penalty = number_in("frequency_penalty", v, -2, 2); }},
      {"presence_penalty",
       [](const Json& v, CompletionRequest& r) { r.presence_penalty = number_in("presence_penalty", v, -2, 2); }},
      {"logit_bias", [](const Json& v, CompletionRequest& r) { r.logit_bias = biases(v); }},
      {"seed",
       [](const Json& v, CompletionRequest& r) {
         r.seed = static_cast<uint64_t>(integer_in("seed", v, std::numeric_limits<int64_t>::min(), kAnyInteger));
       }},
      {"stop", [](const Json& v, CompletionRequest& r) { r.stop = stops(v); }},
      {"n", [](const Json& v, CompletionRequest& r) { r.count = integer_in("n", v, 1, kMostAnswers); }},
      {"response_format", read_response_format},
      {"stream", [](const Json& v, CompletionRequest& r) { r.stream = flag_in("stream", v); }},
      {"stream_options", [](const Json& v, CompletionRequest& r) { read_stream_options(v, r); }},
      {"user", ignored()},
      {"metadata", ignored()},
      {"service_tier", ignored()},
      {"safety_identifier", ignored()},
      {"prompt_cache_key", ignored()},
      {"store", only("store", {false})},
  };
  return readers;
}

const Readers& completion_readers() {
  static const Readers readers = [] {
    Readers all = shared_readers();
    all.emplace_back("prompt",
                     [](const Json& v, CompletionRequest& r) { r.prompts = prompts_in("prompt", v, kMostPrompts); });
    all.emplace_back("logprobs", [](const Json& v, CompletionRequest& r) {
      r.top_logprobs = integer_in("logprobs", v, 0, kMostLogprobs);
    });
    all.emplace_back("echo", only("echo", {false}));
    all.emplace_back("best_of", only("best_of", {1}));
    all.emplace_back("suffix", only("suffix", {""}));
    return all;
  }();
  return readers;
}

const Readers& chat_readers() {
  static const Readers readers = [] {
    Readers all = shared_readers();
    all.emplace_back("messages", [](const Json& v, CompletionRequest& r) {
      if (!v.is_array() || v.empty()) refuse_value("messages", "a list of messages", v);
      r.chat.messages = read_messages(v, "request");
    });
    all.emplace_back("tools",
                     [](const Json& v, CompletionRequest& r) { r.chat.tools = read_tools(v, "request: tools"); });
    all.emplace_back("tool_choice", only("tool_choice", {"auto", "none"}));
    all.emplace_back("parallel_tool_calls", ignored());
    all.emplace_back("max_completion_tokens", [](const Json& v, CompletionRequest& r) {
      r.max_tokens = integer_in("max_completion_tokens", v, 1, kAnyInteger);
    });
    all.emplace_back("logprobs", [](const Json& v, CompletionRequest& r) {
      if (flag_in("logprobs", v) && !r.top_logprobs) r.top_logprobs = 0;
    });
    all.emplace_back("top_logprobs", [](const Json& v, CompletionRequest& r) {
      r.top_logprobs = integer_in("top_logprobs", v, 0, kMostLogprobs);
    });
    all.emplace_back("modalities", only("modalities", {Json{"text"}}));
    for (const char* missing :
         {"functions", "function_call", "audio", "prediction", "web_search_options", "reasoning_effort", "verbosity"}) {
      all.emplace_back(missing, only(missing, {}));
    }
    return all;
  }();
  return readers;
}

CompletionRequest read_with(const Readers& readers, const Json& object) {
  CompletionRequest request;
  for (const auto& item : object.items()) {
    const auto reader = std::ranges::find(readers, item.key(), &Readers::value_type::first);
    if (reader == readers.end()) {
      std::vector<std::string> known;
      for (const auto& one : readers) known.push_back(one.first);
      refuse_key(item.key(), known);
    }
    if (item.value().is_null()) continue;  // as if it were not there
    try {
      reader->second(item.value(), request);
    } catch (const Error& error) {  // of a conversation, or a schema
      throw ApiError(400, without_component(error), item.key());
    }
  }
  if (request.stream_usage && !request.stream) {
    throw ApiError(400, "'stream_options' is only for \"stream\": true", "stream_options");
  }
  return request;
}

}  // namespace

CompletionRequest read_chat_request(const std::string& body) {
  const Json object = body_object(body);
  CompletionRequest request = read_with(chat_readers(), object);
  request.is_chat = true;
  if (request.chat.messages.empty()) throw ApiError(400, "'messages' is missing", "messages");
  const auto asks = object.find("logprobs");
  if (object.contains("top_logprobs") && request.top_logprobs && (asks == object.end() || asks->is_null() || !*asks)) {
    throw ApiError(400, "'top_logprobs' needs \"logprobs\": true", "top_logprobs");
  }
  if (object.contains("tool_choice") && object["tool_choice"] == "none") request.chat.tools = nullptr;
  return request;
}

CompletionRequest read_completion_request(const std::string& body) {
  CompletionRequest request = read_with(completion_readers(), body_object(body));
  if (request.prompts.empty()) throw ApiError(400, "'prompt' is missing", "prompt");
  return request;
}

}  // namespace lora
