#pragma once
// lora-serve as a client meets it: started as a program, on the quickstart's model and two adapters that it trains.

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/app/runs.h"
#include "tests/serving/client.h"

namespace lora::test {

// Two adapters, trained once for all cases.
inline const TemporaryDirectory& adapters() {
  static const TemporaryDirectory directory;
  if (std::filesystem::exists(directory / "b/adapter")) return directory;
  for (const char* name : {"a", "b"}) {
    const TemporaryDirectory files;
    const std::string seed = std::string("training.seed=") + (*name == 'a' ? "1" : "2");
    const Outcome outcome = run({"lora-train", quickstart_recipe(files), "output_dir=" + (directory / name).string(),
                                 "training.max_steps=20", "training.learning_rate=2e-2", "training.eval_every=0",
                                 "training.checkpoint_every=0", seed});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
  }
  return directory;
}

inline std::string adapter_argument(const std::string& name) {
  return name + "=" + (adapters() / name / "adapter").string();
}

class Server {
 public:
  explicit Server(const std::vector<std::string>& more = {}, const Environment& environment = {})
      : command_(arguments(more), "", environment) {
    for (int tries = 0; tries < 3000 && port_ == 0; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const std::string said = command_.err_so_far();
      const std::string mark = " at http://127.0.0.1:";
      const size_t at = said.find(mark);
      if (at != said.npos && said.find('\n', at) != said.npos) {
        port_ = static_cast<uint16_t>(std::stoi(said.substr(at + mark.size())));
      }
    }
    CAPTURE(command_.err_so_far());
    REQUIRE(port_ != 0);
  }
  ~Server() {
    if (!is_ended_) end();
  }
  uint16_t port() const { return port_; }
  Outcome end(int signal = SIGTERM) {
    is_ended_ = true;
    command_.send(signal);
    return command_.wait();
  }
  std::string log() const { return command_.err_so_far(); }

 private:
  static std::vector<std::string> arguments(const std::vector<std::string>& more) {
    std::vector<std::string> all = {"lora-serve", (quickstart() / "model").string(),
                                    "--port",     "0",
                                    "--threads",  "1",
                                    "--adapter",  adapter_argument("a"),
                                    "--adapter",  adapter_argument("b")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Command command_;
  uint16_t port_ = 0;
  bool is_ended_ = false;
};

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  nlohmann::json object() const { return nlohmann::json::parse(body); }
};

inline Answer answer_to(const Server& server, const std::string& bytes) {
  Client client(server.port());
  client.send(bytes);
  const std::string all = client.read_all();
  const size_t end = all.find("\r\n\r\n");
  if (end == all.npos) return {};
  return {std::stoi(all.substr(9, 3)), all.substr(0, end), all.substr(end + 4)};
}

inline constexpr char kClose[] = "Connection: close\r\n";

inline Answer ask(const Server& server, const std::string& path, const nlohmann::json& body,
                  const std::string& more = "") {
  std::string bytes = post(path, body.dump(), kClose + more);
  bytes.replace(bytes.find("Host: x"), 7, "Host: localhost");
  return answer_to(server, bytes);
}

inline Answer get(const Server& server, const std::string& path, const std::string& more = "Host: localhost\r\n") {
  return answer_to(server, "GET " + path + " HTTP/1.1\r\n" + more + kClose + "\r\n");
}

inline nlohmann::json request(const std::string& model, const std::string& prompt = "What comes after 3?") {
  return {{"model", model}, {"prompt", prompt}, {"max_tokens", 12}, {"temperature", 0}};
}

// What lora-generate says.
inline std::string generated(const std::string& name, const std::string& prompt) {
  std::vector<std::string> arguments = {"lora-generate",    (quickstart() / "model").string(),
                                        "--prompt",         prompt,
                                        "--max-new-tokens", "12",
                                        "--threads",        "1"};
  if (!name.empty()) arguments.insert(arguments.end(), {"--adapter", adapter_argument(name)});
  const Outcome outcome = run(arguments);
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  return outcome.out.substr(0, outcome.out.size() - 1);
}

// The data of server-sent events.
inline std::vector<nlohmann::json> events(const Answer& answer) {
  std::vector<nlohmann::json> found;
  std::string text = answer.body;
  for (size_t at = 0; (at = text.find("data: ", at)) != text.npos; at += 6) {
    const std::string data = text.substr(at + 6, text.find('\n', at) - at - 6);
    if (data != "[DONE]") found.push_back(nlohmann::json::parse(data));
  }
  return found;
}

}  // namespace lora::test
