// lora-serve as a client meets it: started as a program, on the quickstart's model and two adapters that it trains.

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/app/server.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("lora-serve answers as lora-generate does, by the base and by each adapter") {
  const Server server;
  const json models = get(server, "/v1/models").object();
  REQUIRE(models["data"].size() == 3);
  CHECK(models["data"][0]["id"] == "model");
  CHECK(models["data"][1]["id"] == "a");
  CHECK(models["data"][1]["parent"] == "model");
  CHECK(get(server, "/v1/models/b").object()["id"] == "b");
  const std::string prompt = "What comes after 3?";
  std::vector<std::string> texts;
  for (const std::string name : {"", "a", "b"}) {
    CAPTURE(name);
    const Answer answer = ask(server, "/v1/completions", request(name.empty() ? "model" : name));
    CAPTURE(answer.body);
    REQUIRE(answer.status == 200);
    const json object = answer.object();
    CHECK(object["object"] == "text_completion");
    texts.push_back(object["choices"][0]["text"]);
    CHECK(texts.back() == generated(name, prompt));
    CHECK(object["usage"]["prompt_tokens"].get<int>() > 3);
    CHECK(object["usage"]["completion_tokens"].get<int>() <= 12);
    CHECK((object["choices"][0]["finish_reason"] == "length" || object["choices"][0]["finish_reason"] == "stop"));
  }
  CHECK(texts[1] != texts[2]);
}

TEST_CASE("a stream has the text of the whole answer, in pieces, with its usage") {
  const Server server;
  const std::string whole = ask(server, "/v1/completions", request("a")).object()["choices"][0]["text"];
  json streamed = request("a");
  streamed["stream"] = true;
  streamed["stream_options"] = {{"include_usage", true}};
  const Answer answer = ask(server, "/v1/completions", streamed);
  CHECK_THAT(answer.head, Contains("text/event-stream"));
  CHECK_THAT(answer.body, Contains("data: [DONE]\n\n"));
  std::string text;
  const auto pieces = events(answer);
  REQUIRE(pieces.size() > 2);
  for (const json& piece : pieces) {
    if (!piece["choices"].empty()) text += piece["choices"][0]["text"].get<std::string>();
  }
  CHECK(text == whole);
  CHECK(pieces[pieces.size() - 2]["choices"][0]["finish_reason"].is_string());
  CHECK(pieces.back()["usage"]["completion_tokens"].get<int>() > 0);

  json chat = {{"model", "a"},     {"messages", json::array({{{"role", "user"}, {"content", "What comes after 3?"}}})},
               {"max_tokens", 5},  {"stream", true},
               {"temperature", 0}, {"n", 2}};
  const auto chunks = events(ask(server, "/v1/chat/completions", chat));
  REQUIRE(chunks.size() >= 4);
  CHECK(chunks[0]["object"] == "chat.completion.chunk");
  CHECK(chunks[0]["choices"][0]["delta"]["role"] == "assistant");
  CHECK(chunks[1]["choices"][0]["index"] == 1);
}

TEST_CASE("many requests of several adapters at once are answered as each alone") {
  const Server server({"--at-once", "5", "--prompt-piece", "3"});
  std::vector<std::string> prompts, names = {"model", "a", "b"};
  for (int i = 0; i < 12; ++i) prompts.push_back("What comes after " + std::to_string(i * 7) + "?");
  std::vector<std::string> alone;
  for (size_t i = 0; i < prompts.size(); ++i) {
    alone.push_back(ask(server, "/v1/completions", request(names[i % 3], prompts[i])).object()["choices"][0]["text"]);
  }
  std::vector<std::string> together(prompts.size());
  std::vector<std::thread> clients;
  for (size_t i = 0; i < prompts.size(); ++i) {
    clients.emplace_back([&, i] {
      together[i] = ask(server, "/v1/completions", request(names[i % 3], prompts[i])).object()["choices"][0]["text"];
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(together == alone);
  CHECK_THAT(get(server, "/metrics").body,
             Contains("lora_requests_total{route=\"/v1/completions\",status=\"200\"} 24"));
}

TEST_CASE("stop texts, seeds, several answers and log-probabilities") {
  const Server server;
  json asked = request("a");
  const std::string whole = ask(server, "/v1/completions", asked).object()["choices"][0]["text"];
  REQUIRE(whole.size() >= 3);
  asked["stop"] = whole.substr(1, 2);
  const json stopped = ask(server, "/v1/completions", asked).object()["choices"][0];
  CHECK(stopped["text"] == whole.substr(0, whole.find(whole.substr(1, 2))));
  CHECK(stopped["finish_reason"] == "stop");

  json drawn = {{"model", "model"}, {"prompt", "The"}, {"max_tokens", 8}, {"temperature", 5}, {"seed", 3}, {"n", 3}};
  const json first = ask(server, "/v1/completions", drawn).object()["choices"];
  CHECK(ask(server, "/v1/completions", drawn).object()["choices"] == first);
  CHECK(first[0]["text"] != first[1]["text"]);
  drawn["seed"] = 4;
  CHECK(ask(server, "/v1/completions", drawn).object()["choices"] != first);

  json scored = request("a");
  scored["logprobs"] = 2;
  const json scores = ask(server, "/v1/completions", scored).object()["choices"][0]["logprobs"];
  REQUIRE(scores["token_logprobs"].size() == scores["tokens"].size());
  CHECK(scores["token_logprobs"][0].get<double>() <= 0);
  CHECK(scores["top_logprobs"][0].size() == 2);
  double most = -1e9;
  for (const auto& item : scores["top_logprobs"][0].items()) most = std::max(most, item.value().get<double>());
  CHECK(scores["token_logprobs"][0].get<double>() == Approx(most));  // greedy
}

TEST_CASE("an answer by a schema is JSON that keeps to it, whole or streamed, and what lora-generate says") {
  const TemporaryDirectory directory;
  const std::string schema =
      R"({"type": "object", "properties": {"n": {"type": "integer"}, "why": {"type": "string", "maxLength": 6}},
          "required": ["n", "why"], "additionalProperties": false})";
  write_bytes(directory / "schema.json", schema);
  const std::string prompt = "What comes after 3?";
  const Outcome outcome =
      run({"lora-generate", (quickstart() / "model").string(), "--adapter", adapter_argument("a"), "--prompt", prompt,
           "--json-schema", (directory / "schema.json").string(), "--max-new-tokens", "60", "--threads", "1"});
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.exit_code == 0);
  const json value = json::parse(outcome.out);
  CHECK(value["n"].is_number_integer());
  CHECK(value["why"].is_string());
  CHECK(value.size() == 2);

  const Server server;
  json asked = request("a", prompt);
  asked["max_tokens"] = 60;
  asked["logprobs"] = 1;
  asked["response_format"] = {{"type", "json_schema"},
                              {"json_schema", {{"name", "x"}, {"schema", json::parse(schema)}}}};
  const json choice = ask(server, "/v1/completions", asked).object()["choices"][0];
  CHECK(choice["text"].get<std::string>() + "\n" == outcome.out);
  CHECK(choice["finish_reason"] == "stop");
  asked["stream"] = true;
  std::string text;
  for (const json& piece : events(ask(server, "/v1/completions", asked)))
    text += piece["choices"][0]["text"].get<std::string>();
  CHECK(text == choice["text"]);

  json chat = {{"model", "model"},
               {"messages", json::array({{{"role", "user"}, {"content", prompt}}})},
               {"max_tokens", 3},
               {"seed", 1},
               {"response_format", {{"type", "json_object"}}}};
  const json cut = ask(server, "/v1/chat/completions", chat).object()["choices"][0];
  CHECK(cut["message"]["content"].get<std::string>().front() == '{');
  if (cut["finish_reason"] == "stop") {
    CHECK(json::parse(cut["message"]["content"].get<std::string>()).is_object());
  } else {
    CHECK(cut["finish_reason"] == "length");
  }
  chat["response_format"] = {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", {{"pattern", "a"}}}}}};
  const Answer refused = ask(server, "/v1/chat/completions", chat);
  CHECK(refused.status == 400);
  CHECK_THAT(refused.body, Contains("'pattern'"));
  chat.erase("response_format");

  // What no token of the prompt would hold.
  chat["tools"] = json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}});
  const Answer tools = ask(server, "/v1/chat/completions", chat);
  CHECK(tools.status == 400);
  CHECK_THAT(tools.body, Contains("no place for them"));
  chat.erase("tools");
  chat["messages"][0]["name"] = "anna";
  CHECK(ask(server, "/v1/chat/completions", chat).status == 200);
  chat["messages"][0]["mood"] = "curious";
  const Answer mood = ask(server, "/v1/chat/completions", chat);
  CHECK(mood.status == 400);
  CHECK_THAT(mood.body, Contains("does not read 'mood'"));

  write_bytes(directory / "schema.json", R"({"type": "string", "pattern": "a"})");
  check_refused({"lora-generate", (quickstart() / "model").string(), "--prompt", "x", "--json-schema",
                 (directory / "schema.json").string()},
                2, {"schema at #: 'pattern'"});
}

TEST_CASE("embeddings have length 1, and are those of a text's tokens by one model") {
  const Server server({"--prompt-piece", "3"});
  const auto embed = [&](const json& body) { return ask(server, "/v1/embeddings", body); };
  const json texts = {"What comes after 3?", "x", "What comes after 4?"};
  const json all = embed({{"model", "a"}, {"input", texts}}).object();
  CHECK(all["object"] == "list");
  CHECK(all["model"] == "a");
  REQUIRE(all["data"].size() == 3);
  const auto numbers = [](const json& entry) { return entry["embedding"].get<std::vector<double>>(); };
  for (const json& entry : all["data"]) {
    CHECK(entry["object"] == "embedding");
    REQUIRE(entry["embedding"].size() == 128);
    double squares = 0;
    for (const double x : numbers(entry)) squares += x * x;
    CHECK(squares == Approx(1).epsilon(1e-5));
  }
  CHECK(all["data"][2]["index"] == 2);
  CHECK(numbers(all["data"][0]) != numbers(all["data"][2]));

  const json one = embed({{"model", "a"}, {"input", texts[0]}}).object();
  CHECK(numbers(one["data"][0]) == numbers(all["data"][0]));
  CHECK(one["usage"]["prompt_tokens"].get<int>() > 3);
  CHECK(one["usage"]["total_tokens"] == one["usage"]["prompt_tokens"]);
  CHECK(numbers(embed({{"model", "b"}, {"input", texts[0]}}).object()["data"][0]) != numbers(one["data"][0]));
  CHECK(numbers(embed({{"model", "model"}, {"input", texts[0]}}).object()["data"][0]) != numbers(one["data"][0]));

  const json tokens = embed({{"input", {1, 40, 41}}}).object();
  CHECK(tokens["usage"]["prompt_tokens"] == 3);
  CHECK(embed({{"input", {{1, 40, 41}, {1, 40, 41}}}}).object()["data"][1]["embedding"] ==
        tokens["data"][0]["embedding"]);

  const json cut =
      embed({{"model", "a"}, {"input", texts[0]}, {"dimensions", 2}, {"encoding_format", "base64"}}).object();
  CHECK(cut["data"][0]["embedding"].get<std::string>().size() == 12);  // 8 bytes
  CHECK(embed({{"input", "x"}, {"dimensions", 129}}).status == 400);
  CHECK(embed({{"input", {99999}}}).status == 400);
  CHECK(embed({{"model", "c"}, {"input", "x"}}).status == 404);
  CHECK_THAT(embed({{"input", std::string(3000, 'x')}}).body, Contains("context_length_exceeded"));
}

TEST_CASE("what cannot be done is one answer each, and the server lives") {
  const Server server({"--context", "40", "--queue", "4"});
  const auto refused = [&](const std::string& path, const json& body, int status, const std::string& part) {
    const Answer answer = ask(server, path, body);
    CAPTURE(answer.body);
    CHECK(answer.status == status);
    CHECK_THAT(answer.object()["error"]["message"].get<std::string>(), Contains(part));
  };
  refused("/v1/completions", request("c"), 404, "there is no model 'c'");
  refused("/v1/completions", request("model", std::string(500, 'x')), 400, "together may have 40");
  refused("/v1/completions", {{"model", "a"}, {"prompt", {99999}}}, 400, "99999");
  refused("/v1/completions", {{"model", "a"}, {"prompt", "x"}, {"best", 1}}, 400, "'best' is not a parameter");
  refused("/v1/load_lora_adapter", {{"lora_name", "c"}, {"lora_path", "/etc"}}, 403, "--adapters-from");
  refused("/nothing", json::object(), 404, "nothing at this path");
  refused("/v1/models", json::object(), 405, "expected the method GET");
  CHECK(get(server, "/health").object()["status"] == "ok");
  CHECK(get(server, "/", "Host: evil.example\r\n").status == 403);
  CHECK(get(server, "/", "Host: localhost\r\nOrigin: http://evil.example\r\n").status == 403);
  CHECK_THAT(get(server, "/").body, Contains("<title>lora-serve</title>"));
  CHECK(ask(server, "/v1/completions", request("a")).status == 200);
}

TEST_CASE("a key opens, another does not") {
  const TemporaryDirectory directory;
  write_bytes(directory / "keys", "# ours\nsecret-secret-secret\n");
  const Server server({"--api-key-file", (directory / "keys").string()});
  CHECK(get(server, "/v1/models").status == 401);
  CHECK(ask(server, "/v1/completions", request("a"), "Authorization: Bearer secret\r\n").status == 401);
  CHECK(ask(server, "/v1/completions", request("a"), "Authorization: Bearer secret-secret-secret\r\n").status == 200);
  CHECK(get(server, "/health").status == 200);
}

TEST_CASE("adapters come and go while the server runs, from below one directory alone") {
  const TemporaryDirectory directory;
  fs::copy(adapters() / "a" / "adapter", directory / "one", fs::copy_options::recursive);
  fs::create_directory_symlink(adapters() / "b", directory / "out");
  const Server server({"--adapters-from", directory.path().string()});
  const auto load = [&](const std::string& name, const std::string& path) {
    return ask(server, "/v1/load_lora_adapter", {{"lora_name", name}, {"lora_path", path}});
  };
  CHECK(load("c", "one").object()["status"] == "loaded");
  const auto text = [&](const std::string& name) {
    return ask(server, "/v1/completions", request(name)).object()["choices"][0]["text"].get<std::string>();
  };
  CHECK(text("c") == text("a"));
  // Trained anew in its place.
  fs::remove_all(directory / "one");
  fs::copy(adapters() / "b" / "adapter", directory / "one", fs::copy_options::recursive);
  CHECK(load("c", "one").object()["status"] == "replaced");
  CHECK(text("c") == text("b"));
  for (const std::string path : {"../x", "/etc", "out", "out/adapter", "nothing"}) {
    CAPTURE(path);
    CHECK(load("d", path).status == 404);
  }
  CHECK(load("model", "one").status == 400);
  // What could not be read leaves its name free.
  const std::string weights = read_bytes(directory / "one/adapter_model.safetensors");
  write_bytes(directory / "one/adapter_model.safetensors", weights.substr(0, weights.size() / 2));
  CHECK(load("d", "one").status == 400);
  write_bytes(directory / "one/adapter_model.safetensors", weights);
  CHECK(load("d", "one").object()["status"] == "loaded");
  CHECK(load("a b", "one").status == 400);
  CHECK(ask(server, "/v1/unload_lora_adapter", {{"lora_name", "c"}}).status == 200);
  CHECK(ask(server, "/v1/unload_lora_adapter", {{"lora_name", "c"}}).status == 404);
  CHECK(ask(server, "/v1/completions", request("c")).status == 404);
  json biased = request("a");
  biased["logit_bias"] = {{"99999", 1}};
  CHECK(ask(server, "/v1/completions", biased).status == 400);
  CHECK(ask(server, "/v1/load_lora_adapter", {{"lora_name", "d"}, {"lora_path", std::string("a\0b", 3)}}).status ==
        400);
  CHECK(text("a") == generated("a", "What comes after 3?"));
}

TEST_CASE("SIGTERM lets an answer that has begun come to its end") {
  Server server;
  Client client(server.port());
  json asked = request("a");
  asked["max_tokens"] = 200;
  asked["stream"] = true;
  asked["logit_bias"] = {{"2", -100}};  // no end of text
  std::string bytes = post("/v1/completions", asked.dump(), kClose);
  bytes.replace(bytes.find("Host: x"), 7, "Host: localhost");
  client.send(bytes);
  client.read_until("data: ");
  const Outcome outcome = server.end();
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(client.read_all(), Contains("data: [DONE]"));
  CHECK_THAT(outcome.err, Contains("POST /v1/completions 200"));
}

TEST_CASE("lora-serve refuses to begin where it should not") {
  const std::string model = (quickstart() / "model").string();
  check_refused({"lora-serve", model, "--host", "0.0.0.0", "--port", "0"}, 2,
                {"[serve]", "--api-key-file", "--insecure"});
  check_refused({"lora-serve", model, "--port", "0", "--context", "100000"}, 2, {"has 256 positions"});
  check_refused({"lora-serve", (adapters() / "nothing").string()}, 4, {"nothing"});
  const Server server;
  check_refused({"lora-serve", model, "--port", std::to_string(server.port())}, 2, {"in use"});
}
