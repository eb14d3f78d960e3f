#include "lora/serving/completion_request.h"

#include <array>
#include <cmath>

#include "lora/serving/api_error.h"
#include "lora/serving/embedding_exchange.h"
#include "lora/serving/embedding_request.h"
#include "tests/catch.h"

using namespace lora;
using Catch::Matchers::Contains;

namespace {

const std::string kMessages = R"("messages": [{"role": "user", "content": "Hi"}])";

CompletionRequest chat(const std::string& more) { return read_chat_request("{" + kMessages + more + "}"); }
CompletionRequest text(const std::string& more) { return read_completion_request(R"({"prompt": "Hi")" + more + "}"); }

void check_refused(const std::function<void()>& read, const std::string& param, const std::string& part) {
  CAPTURE(param, part);
  try {
    read();
    FAIL("was taken");
  } catch (const ApiError& error) {
    CHECK(error.status == 400);
    CHECK(error.param == param);
    CHECK_THAT(error.what(), Contains(part));
  }
}

}  // namespace

TEST_CASE("a chat request is read with OpenAI's defaults") {
  const CompletionRequest request = chat("");
  CHECK(request.is_chat);
  CHECK(request.chat.messages.at(0).content() == "Hi");
  CHECK(request.temperature == 1);
  CHECK(request.top_p == 1);
  CHECK(request.count == 1);
  CHECK_FALSE(request.max_tokens);
  CHECK_FALSE(request.top_logprobs);
  CHECK_FALSE(request.stream);
}

TEST_CASE("every parameter of a chat request is read") {
  const CompletionRequest r = chat(
      R"(, "model": "fr", "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "min_p": 0.1, "top_k": 40,
         "repetition_penalty": 1.1, "frequency_penalty": -0.5, "presence_penalty": 0.25, "logit_bias": {"3": -100},
         "seed": -1, "stop": ["a", "b"], "n": 2, "logprobs": true, "top_logprobs": 3, "stream": true,
         "stream_options": {"include_usage": true}, "user": "x", "store": false, "tool_choice": "auto",
         "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "response_format": null)");
  CHECK(r.model == "fr");
  CHECK(r.max_tokens == 7);
  CHECK(r.temperature == 0.5);
  CHECK(r.top_p == 0.9);
  CHECK(r.min_p == 0.1);
  CHECK(r.top_k == 40);
  CHECK(r.repetition_penalty == 1.1);
  CHECK(r.frequency_penalty == -0.5);
  CHECK(r.presence_penalty == 0.25);
  CHECK(r.logit_bias == std::map<int64_t, double>{{3, -100}});
  CHECK(r.seed == UINT64_MAX);
  CHECK(r.stop == std::vector<std::string>{"a", "b"});
  CHECK(r.count == 2);
  CHECK(r.top_logprobs == 3);
  CHECK(r.stream);
  CHECK(r.stream_usage);
  CHECK(r.chat.tools.size() == 1);
  CHECK(chat(R"(, "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none")")
            .chat.tools.is_null());
}

TEST_CASE("a prompt is a text, tokens, or several of either") {
  CHECK(std::get<std::string>(text("").prompts.at(0)) == "Hi");
  const auto several = read_completion_request(R"({"prompt": ["a", [1, 2]], "logprobs": 2})");
  CHECK(std::get<std::string>(several.prompts.at(0)) == "a");
  CHECK(std::get<std::vector<int64_t>>(several.prompts.at(1)) == std::vector<int64_t>{1, 2});
  CHECK(several.top_logprobs == 2);
  CHECK(std::get<std::vector<int64_t>>(read_completion_request(R"({"prompt": [5]})").prompts.at(0)).size() == 1);
}

TEST_CASE("what cannot be is refused with its parameter") {
  check_refused([] { chat(R"(, "temprature": 1)"); }, "temprature", "did you mean 'temperature'?");
  check_refused([] { chat(R"(, "temperature": "1")"); }, "temperature", "a number from 0");
  check_refused([] { chat(R"(, "top_p": 1.5)"); }, "top_p", "found 1.5");
  check_refused([] { chat(R"(, "max_tokens": 0)"); }, "max_tokens", "at least 1");
  check_refused([] { chat(R"(, "max_tokens": 1.5)"); }, "max_tokens", "an integer");
  check_refused([] { chat(R"(, "n": 18446744073709551615)"); }, "n", "from 1 to 16");
  check_refused([] { chat(R"(, "stop": [""])"); }, "stop", "not empty");
  check_refused([] { chat(R"(, "stop": 5)"); }, "stop", "a text");
  check_refused([] { chat(R"(, "logit_bias": {"a": 1})"); }, "logit_bias", "token ids");
  check_refused([] { chat(R"(, "logit_bias": {"1": 1, "01": 2})"); }, "logit_bias", "each token once");
  check_refused([] { chat(R"(, "stream": "yes")"); }, "stream", "true or false");
  check_refused([] { chat(R"(, "stream_options": {"include_usage": true})"); }, "stream_options", "\"stream\": true");
  check_refused([] { chat(R"(, "top_logprobs": 2)"); }, "top_logprobs", "\"logprobs\": true");
  check_refused([] { chat(R"(, "tool_choice": "required")"); }, "tool_choice", "no such thing");
  check_refused([] { chat(R"(, "store": true)"); }, "store", "no such thing");
  check_refused([] { chat(R"(, "functions": [])"); }, "functions", "no such thing");
  check_refused([] { read_chat_request("{}"); }, "messages", "missing");
  check_refused([] { read_chat_request(R"({"messages": []})"); }, "messages", "a list of messages");
  check_refused([] { read_chat_request(R"({"messages": [{"role": "judge", "content": "x"}]})"); }, "messages", "judge");
  check_refused([] { text(R"(, "best_of": 2)"); }, "best_of", "no such thing");
  check_refused([] { text(R"(, "echo": true)"); }, "echo", "no such thing");
  check_refused([] { read_completion_request(R"({"prompt": []})"); }, "prompt", "a list of tokens");
  check_refused([] { read_completion_request(R"({"prompt": [-1]})"); }, "prompt", "at least 0");
  check_refused([] { read_completion_request("{}"); }, "prompt", "missing");
}

TEST_CASE("the form of an answer is text, any object of JSON, or a schema") {
  const auto format = [](const std::string& value) { return chat(R"(, "response_format": )" + value).json; };
  CHECK_FALSE(format(R"({"type": "text"})"));
  CHECK(format(R"({"type": "json_object"})").value().front().kind == JsonNode::Kind::kObject);
  const auto json = format(R"({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "description": "d",
                              "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}})");
  CHECK(json.value().front().properties.at(0).key == "\"a\"");
  CHECK(text(R"(, "response_format": {"type": "json_object"})").json);

  const std::vector<std::pair<std::string, std::string>> bad = {
      {R"("json")", "an object"},
      {R"({"type": "xml"})", "json_schema"},
      {R"({})", "json_schema"},
      {R"({"type": "json_object", "schema": {}})", "'schema' is not a key of it"},
      {R"({"type": "json_schema"})", "go together"},
      {R"({"type": "json_object", "json_schema": {}})", "go together"},
      {R"({"type": "json_schema", "json_schema": {"name": "n"}})", "has no 'schema'"},
      {R"({"type": "json_schema", "json_schema": {"schema": {}}})", "has no 'name'"},
      {R"({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "string", "pattern": "a"}}})",
       "schema at #: 'pattern'"},
  };
  for (const auto& [value, part] : bad) {
    check_refused([&, &value = value] { format(value); }, "response_format", part);
  }
  check_refused([&] { format(R"({"type": "json_schema", "json_schema": {"name": "n", "strict": 1, "schema": {}}})"); },
                "response_format.json_schema.strict", "true or false");
}

TEST_CASE("a request for embeddings has texts or tokens, and says how they come") {
  const EmbeddingRequest one = read_embedding_request(R"({"input": "a", "model": "fr", "user": "u"})");
  CHECK(one.model == "fr");
  CHECK(std::get<std::string>(one.inputs.at(0)) == "a");
  CHECK_FALSE(one.is_base64);
  CHECK_FALSE(one.dimensions);
  const EmbeddingRequest r =
      read_embedding_request(R"({"input": [[1, 2], "b"], "encoding_format": "base64", "dimensions": 3})");
  CHECK(std::get<std::vector<int64_t>>(r.inputs.at(0)) == std::vector<int64_t>{1, 2});
  CHECK(r.is_base64);
  CHECK(r.dimensions == 3);
  const std::vector<std::array<std::string, 3>> bad = {
      {"{}", "input", "missing"},
      {R"({"input": []})", "input", "a list of at most 2048"},
      {R"({"input": [-1]})", "input", "at least 0"},
      {R"({"input": "a", "dimensions": 0})", "dimensions", "at least 1"},
      {R"({"input": "a", "encoding_format": "hex"})", "encoding_format", "float or base64"},
      {R"({"inputs": "a"})", "inputs", "did you mean 'input'?"},
  };
  for (const auto& [body, param, part] : bad) {
    check_refused([&, &body = body] { read_embedding_request(body); }, param, part);
  }
}

TEST_CASE("an embedding is a mean cut to its dimensions, of length 1") {
  const std::vector<double> mean = {3, 0, 4, -12};
  CHECK(embedding_of(mean, 0) == std::vector<float>{3 / 13.f, 0, 4 / 13.f, -12 / 13.f});
  CHECK(embedding_of(mean, 3) == std::vector<float>{0.6f, 0, 0.8f});
  CHECK(embedding_of(mean, 9).size() == 4);
  CHECK(embedding_of(std::vector<double>{0, 0}, 0) == std::vector<float>{0, 0});
}

TEST_CASE("a body that is no object of JSON is refused") {
  for (const std::string& body : {std::string(), std::string("{"), std::string("[]"), std::string("{\"a\": \xFF}"),
                                  std::string(R"({"n": 1, "n": 2})"), std::string(1000, '['), std::string("{}\0", 3)}) {
    check_refused([&] { read_chat_request(body); }, "", "JSON");
  }
}
