#include "lora/serving/http_server.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "lora/serving/serving_error.h"
#include "tests/catch.h"
#include "tests/serving/client.h"

using namespace lora;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using lora::test::Client;
using lora::test::post;

namespace {

// A server on a free port, whose handler is the test's.
class Serving {
 public:
  explicit Serving(std::function<void(HttpRequest, std::shared_ptr<HttpReply>)> answer, HttpLimits limits = {})
      : server_("127.0.0.1", 0, limits,
                {.screen =
                     [](const HttpRequest& head) {
                       return head.path == "/closed"
                                  ? std::make_unique<HttpResponse>(HttpResponse{.status = 403, .body = ""})
                                  : nullptr;
                     },
                 .answer = std::move(answer),
                 .done =
                     [this](const HttpAccess& access) {
                       const std::lock_guard lock(mutex_);
                       log_.push_back(access);
                     }}),
        thread_([this] { server_.run(/*drain_seconds=*/2); }) {}
  ~Serving() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }
  uint16_t port() const { return server_.port(); }
  std::vector<HttpAccess> log() const {
    const std::lock_guard lock(mutex_);
    return log_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<HttpAccess> log_;
  HttpServer server_;
  std::thread thread_;
};

void echo(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  reply->send({.type = "text/plain", .body = request.method + " " + request.path + " " + request.body + "."});
}

}  // namespace

TEST_CASE("requests are answered one after another on one connection, sent together or not") {
  Serving serving(echo);
  Client client(serving.port());
  client.send(post("/a?q=1", "one"));
  CHECK_THAT(client.read_until("one."), StartsWith("HTTP/1.1 200 OK\r\n") && Contains("POST /a one."));
  client.send(post("/b", "two") + post("/c", "three"));
  CHECK_THAT(client.read_until("three."), Contains("POST /b two.") && Contains("POST /c three."));
  serving.stop();
  REQUIRE(serving.log().size() == 3);
  CHECK(serving.log()[0].status == 200);
  CHECK(serving.log()[0].path == "/a");
  CHECK(serving.log()[0].bytes == std::string("POST /a one.").size());
}

TEST_CASE("a reply in pieces comes in chunks, and to HTTP/1.0 until the end of the connection") {
  Serving serving([](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    std::thread([reply] {
      reply->start("text/event-stream");
      for (const char* piece : {"one", "", "two"}) reply->write(piece);
      reply->finish();
    }).detach();
  });
  Client client(serving.port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK_THAT(client.read_until("0\r\n\r\n"),
             Contains("Transfer-Encoding: chunked") && Contains("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"));
  Client old(serving.port());
  old.send("GET / HTTP/1.0\r\n\r\n");
  CHECK_THAT(old.read_all(), Contains("\r\n\r\nonetwo") && !Contains("chunked"));
}

TEST_CASE("what is not HTTP, too large or closed is refused, and others are answered") {
  HttpLimits limits;
  limits.body_bytes = 1000;
  limits.header_bytes = 2000;
  Serving serving(echo, limits);
  const auto answer = [&](const std::string& bytes) {
    Client client(serving.port());
    client.send(bytes);
    return client.read_all();
  };
  CHECK_THAT(answer("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  CHECK_THAT(answer("GET / HTTP/1.1\r\nX: " + std::string(5000, 'a')), StartsWith("HTTP/1.1 431"));
  CHECK_THAT(answer(post("/", std::string(2000, 'a'))), StartsWith("HTTP/1.1 413"));
  CHECK_THAT(answer("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5dc\r\n" + std::string(1500, 'a')),
             StartsWith("HTTP/1.1 413"));
  CHECK_THAT(answer("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
             StartsWith("HTTP/1.1 400"));
  CHECK_THAT(answer(post("/closed", "not read")), StartsWith("HTTP/1.1 403"));
  Client client(serving.port());
  client.send(post("/", "fine"));
  CHECK_THAT(client.read_until("fine."), Contains("fine."));
}

TEST_CASE("a client that asks before it sends its body is told to go on") {
  Serving serving(echo);
  Client client(serving.port());
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  CHECK_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 100 Continue"));
  client.send("body");
  CHECK_THAT(client.read_until("body."), Contains("200 OK"));
}

TEST_CASE("a silent client is dropped, and holds nobody up") {
  HttpLimits limits;
  limits.header_seconds = 1;
  limits.body_seconds = 1;
  Serving serving(echo, limits);
  Client half(serving.port()), silent(serving.port()), slow(serving.port());
  half.send("POST / HTT");
  slow.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  Client client(serving.port());
  client.send(post("/", "fine"));
  CHECK_THAT(client.read_until("fine."), Contains("fine."));
  CHECK(half.read_all().empty());
  CHECK(silent.read_all().empty());
  CHECK(slow.read_all().empty());
}

TEST_CASE("a reply knows that its client has left, and a reply that nobody gives is a 500") {
  std::mutex mutex;
  std::shared_ptr<HttpReply> kept;
  Serving serving([&](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
    if (request.path != "/keep") return;
    const std::lock_guard lock(mutex);
    kept = std::move(reply);
  });
  Client dropped(serving.port());
  dropped.send(post("/drop", ""));
  CHECK_THAT(dropped.read_until("answered"), StartsWith("HTTP/1.1 500"));
  Client leaving(serving.port());
  leaving.send(post("/keep", ""));
  const auto held = [&] {
    const std::lock_guard lock(mutex);
    return kept;
  };
  while (!held()) std::this_thread::yield();
  CHECK_FALSE(held()->gone());
  leaving.close();
  for (int i = 0; i < 2000 && !held()->gone(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(held()->gone());
  held()->start("text/plain");  // nothing happens
  held()->finish();
  const std::lock_guard lock(mutex);
  kept.reset();
}

TEST_CASE("a client that does not read is dropped when too much waits for it") {
  HttpLimits limits;
  limits.unsent_bytes = 1 << 20;
  std::atomic<bool> is_gone{false};
  Serving serving(
      [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        std::thread([&is_gone, reply] {
          reply->start("text/plain");
          for (int i = 0; i < 4000 && !reply->gone(); ++i) {
            reply->write(std::string(65536, 'a'));
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
          }
          is_gone = reply->gone();
          reply->finish();
        }).detach();
      },
      limits);
  Client client(serving.port());
  client.send(post("/", ""));
  for (int i = 0; i < 4000 && !is_gone; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(is_gone);
}

TEST_CASE("connections over the limit are told so") {
  HttpLimits limits;
  limits.connections = 2;
  Serving serving(echo, limits);
  Client first(serving.port()), second(serving.port());
  first.send(post("/", "a"));
  first.read_until("a.");
  second.send(post("/", "a"));
  second.read_until("a.");
  Client third(serving.port());
  CHECK_THAT(third.read_all(), StartsWith("HTTP/1.1 503"));
}

TEST_CASE("a server that ends finishes what it began, and takes nothing new") {
  std::atomic<bool> began{false};
  auto serving = std::make_unique<Serving>([&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    std::thread([&began, reply] {
      began = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      reply->send({.body = "done at last"});
    }).detach();
  });
  Client idle(serving->port()), client(serving->port());
  client.send(post("/", ""));
  while (!began) std::this_thread::yield();
  const uint16_t port = serving->port();
  serving->stop();
  CHECK_THAT(client.read_all(), Contains("done at last"));
  CHECK(idle.read_all().empty());
  (void)port;
}

TEST_CASE("a port that is taken, and a name for an address, are errors") {
  Serving serving(echo);
  const auto listen = [](const std::string& host, uint16_t port) { HttpServer server(host, port, {}, {}); };
  CHECK_THROWS_WITH(listen("127.0.0.1", serving.port()), Contains("in use") && Contains("--port 0"));
  CHECK_THROWS_WITH(listen("example.org", 0), Contains("not an address"));
}
