#pragma once
// One client of a server (http_server.h): its requests are read and answered one after the other.

#include <atomic>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "lora/serving/http_server_state.h"

namespace lora {

// From its first to its last request. Lives while an operation or a reply refers to it. All functions but gone() and
// number() run on the server's thread; those of HttpReply's names do what they do there.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(boost::asio::ip::tcp::socket socket, HttpServerState& server);
  ~HttpConnection();

  // Waits for the next request.
  void next();
  void refuse_as_full();
  void close();
  // What a server that drains does not wait for.
  bool is_idle() const { return idle_; }

  void send(HttpResponse response);
  void start(const std::string& type);
  void write(std::string piece);
  void finish();
  // Nobody answers any more.
  void abandon();
  bool gone() const { return gone_; }
  uint64_t number() const { return number_; }  // of the request

 private:
  template <class Body>
  boost::beast::http::response<Body> head(int status, const std::string& type);
  void read_header();
  void on_header(boost::beast::error_code error);
  void read_body();
  void on_body(boost::beast::error_code error);
  std::shared_ptr<HttpReply> make_reply();
  // Answers what is not HTTP, or too much of it; a client that is gone or silent gets nothing.
  void refuse(boost::beast::error_code error);
  // Notices that the client leaves while its reply is made.
  void watch();
  void put(std::string bytes, bool last);
  void write_next();
  void end_reply();
  // A client whose request was not read to its end still has to see the reply, which a reset would take away.
  void close_after_reading();
  void skip_rest();
  void done();

  boost::beast::tcp_stream stream_;
  HttpServerState& server_;
  std::string peer_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  HttpRequest request_;
  std::optional<std::chrono::steady_clock::time_point> began_;
  std::deque<std::string> waiting_;
  size_t unsent_ = 0, body_bytes_ = 0;
  uint64_t number_ = 0;
  unsigned version_ = 11;
  int status_ = 0;
  bool first_ = true, idle_ = true, keep_alive_ = false, closing_ = false, replied_ = false, chunked_ = false;
  bool writing_ = false, last_ = false, replied_all_ = false;
  std::atomic<bool> gone_{false};
};

}  // namespace lora
