#pragma once
// HTTP/1.1 over TCP, by Boost.Beast: requests with a whole body in, whole or streamed replies out. One thread moves
// all bytes and never waits for a client: a slow or silent one holds nobody else. What a request means is not known
// here (service.h).

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lora {

struct HttpLimits {
  size_t header_bytes = 16 << 10, body_bytes = 10 << 20;
  size_t connections = 512;       // more are answered with 503
  size_t unsent_bytes = 4 << 20;  // of a streamed reply; a client that leaves more behind is dropped
  int64_t header_seconds = 10;    // from a request's first byte
  int64_t body_seconds = 30;
  int64_t write_seconds = 30;  // for each piece
  int64_t idle_seconds = 60;   // between two requests
};

struct HttpRequest {
  std::string method, path;                 // the path as it came, without its query
  std::string authorization, host, origin;  // header fields; empty: not there
  std::string body;
  std::string peer;  // the client's address
};

struct HttpResponse {
  int status = 200;
  std::string type = "application/json", body;
  std::vector<std::pair<std::string, std::string>> fields = {};  // other header fields
};

// The reply to one request. Every function may be called from any thread and returns at once. One of send() or
// start() … finish() is called once; where the last reference goes before that, the client gets a 500, or an end that it
// sees is none. No reply outlives its server.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  virtual void send(HttpResponse response) = 0;
  virtual void start(const std::string& type) = 0;  // a status of 200 and a body in pieces
  virtual void write(std::string piece) = 0;
  virtual void finish() = 0;
  // The client has left, or was dropped: nothing more reaches it.
  virtual bool gone() const = 0;
};

// One line of the access log.
struct HttpAccess {
  std::string peer, method, path;
  int status = 0;    // 0: the client left before it
  size_t bytes = 0;  // of the body
  double seconds = 0;
};

struct HttpHandlers {
  // Looks at a request before its body is read (body is empty): a response refuses it.
  std::function<std::unique_ptr<HttpResponse>(const HttpRequest& head)> screen;
  // Answers now or later. Must not throw, and must not wait.
  std::function<void(HttpRequest request, std::shared_ptr<HttpReply> reply)> answer;
  // A reply is done.
  std::function<void(const HttpAccess& access)> done;
};

class HttpServer {
 public:
  // Listens at the address (a number or "localhost") and port; 0 takes a free one. ServingError where that does not
  // work.
  HttpServer(const std::string& host, uint16_t port, HttpLimits limits, HttpHandlers handlers);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;
  // Whether only programs of this machine can reach it.
  bool is_loopback() const;

  // Serves on the calling thread until SIGINT or SIGTERM, or stop(). Then no connection is taken, and requests that
  // have begun get their replies, for at most `drain_seconds`. Returns the signal, or 0.
  int run(int64_t drain_seconds);
  void stop();  // from any thread

 private:
  std::unique_ptr<class HttpServerState> state_;
};

}  // namespace lora
