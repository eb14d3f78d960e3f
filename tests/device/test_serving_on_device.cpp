// lora-serve on the simulated device, which it gets by LD_PRELOAD.

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/app/server.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// `memory`: bytes of the device; empty: its own.
Environment preloaded(const std::string& memory = "") {
  Environment variables = {{"LD_PRELOAD", (fs::path(LORA_BINARY_DIR) / "tests/libsimulated_device.so").string()}};
  if (!memory.empty()) variables.emplace_back("LORA_SIMULATED_MEMORY", memory);
  return variables;
}

std::vector<std::string> on_it(std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--device", "privateuseone"});
  return more;
}

// The answers to prompts of several adapters, one after another or all at once.
std::vector<std::string> answers_from(const Server& server, bool at_once, int64_t tokens = 12) {
  const std::vector<std::string> names = {"model", "a", "b"};
  std::vector<std::string> texts(9);
  std::vector<std::thread> clients;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto asks = [&, i] {
      json asked = request(names[i % 3], "What comes after " + std::to_string(i * 7) + "?");
      asked["max_tokens"] = tokens;
      texts[i] = ask(server, "/v1/completions", asked).object()["choices"][0]["text"];
    };
    if (at_once) {
      clients.emplace_back(asks);
    } else {
      asks();
    }
  }
  for (std::thread& client : clients) client.join();
  return texts;
}

}  // namespace

TEST_CASE("lora-serve on a device answers as on the CPU, by the base and by adapters, one by one and at once") {
  const Server here, remote(on_it({"--at-once", "5", "--prompt-piece", "7"}), preloaded());
  CHECK_THAT(remote.log(), Contains("privateuseone:0 has room for the keys and values of "));
  const std::vector<std::string> expected = answers_from(here, /*at_once=*/false);
  CHECK(answers_from(remote, /*at_once=*/false) == expected);
  CHECK(answers_from(remote, /*at_once=*/true) == expected);

  // Drawn, in JSON, and known beginnings.
  for (const json& more :
       {json{{"temperature", 1.5}, {"seed", 5}}, json{{"response_format", {{"type", "json_object"}}}},
        json{{"repetition_penalty", 1.3}, {"logprobs", 1}}}) {
    json asked = request("a");
    asked.update(more);
    const json found = ask(remote, "/v1/completions", asked).object(),
               wanted = ask(here, "/v1/completions", asked).object();
    CHECK(found["choices"][0]["text"] == wanted["choices"][0]["text"]);
    CHECK(found["usage"]["prompt_tokens_details"] == wanted["usage"]["prompt_tokens_details"]);
  }
  const auto embedding = [&](const Server& server) {
    return ask(server, "/v1/embeddings", {{"model", "b"}, {"input", "What comes after 3?"}})
        .object()["data"][0]["embedding"]
        .get<std::vector<double>>();
  };
  const std::vector<double> found = embedding(remote), wanted = embedding(here);
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(wanted[i]).margin(1e-5));
}

TEST_CASE("adapters come and go while lora-serve is on a device") {
  const Server server(on_it({"--adapters-from", adapters().path().string()}), preloaded());
  const auto text = [&](const std::string& name) {
    return ask(server, "/v1/completions", request(name)).object()["choices"][0]["text"].get<std::string>();
  };
  CHECK(ask(server, "/v1/load_lora_adapter", {{"lora_name", "c"}, {"lora_path", "a/adapter"}}).status == 200);
  CHECK(text("c") == text("a"));
  CHECK(ask(server, "/v1/load_lora_adapter", {{"lora_name", "c"}, {"lora_path", "b/adapter"}}).status == 200);
  CHECK(text("c") == text("b"));
  CHECK(ask(server, "/v1/unload_lora_adapter", {{"lora_name", "c"}}).status == 200);
  CHECK(ask(server, "/v1/completions", request("c")).status == 404);
}

TEST_CASE("lora-serve on a device refuses what has no room there by one message, and answers in what there is") {
  const std::string model = (quickstart() / "model").string();
  const auto refused = [&](const std::vector<std::string>& more, int code, const std::string& memory,
                           const std::vector<std::string>& parts) {
    std::vector<std::string> arguments = {"lora-serve", model, "--port", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments, "", preloaded(memory));
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == code);
    for (const std::string& part : parts) CHECK_THAT(outcome.err, Contains(part));
    CHECK(std::ranges::count(outcome.err, '\n') == 1);
  };
  const std::string little = "11700000";  // for some pages
  refused(on_it(), 4, "1000000", {"[memory] privateuseone:0 has 1.0 MB free, and the weights of ", "--device cpu"});
  refused(on_it({"--context", "256"}), 4, little,
          {"[memory] --context 256: the GPU has room for the keys and values of ", " tokens; expected no more"});
  refused({"--device", "privateuseone:2"}, 2, "", {"[device] privateuseone:2: there is no such GPU"});
  check_refused({"lora-serve", model, "--port", "0", "--device", "cuda:1"}, 2, {"[device] cuda:1: "});

  const Server here, remote(on_it({"--at-once", "8"}), preloaded(little));
  CHECK_THAT(remote.log(),
             Contains("a request may have ") && Contains(" for which the GPU has room, of the model's 256"));
  const std::vector<std::string> expected = answers_from(here, /*at_once=*/false, 50);
  CHECK(answers_from(remote, /*at_once=*/true, 50) == expected);
  CHECK(ask(remote, "/v1/completions", request("model", std::string(400, 'x'))).status == 400);
}
