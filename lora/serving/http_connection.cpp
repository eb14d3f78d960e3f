#include "lora/serving/http_connection.h"

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <sstream>

namespace lora {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = net::ip::tcp;
using beast::error_code;
using std::chrono::seconds;
using std::chrono::steady_clock;

HttpResponse plain_error(int status, const std::string& message) {
  // OpenAI's error object; the messages are our own and need no escapes.
  return {.status = status,
          .body = R"({"error": {"message": ")" + message + R"(", "type": "invalid_request_error", "param": null, )" +
                  R"("code": null}})"};
}

// Takes calls from any thread to the server's.
class PostedReply : public HttpReply {
 public:
  PostedReply(std::shared_ptr<HttpConnection> connection, net::io_context& context)
      : connection_(std::move(connection)), number_(connection_->number()), context_(context) {}
  ~PostedReply() override {
    on_server([](HttpConnection& c) { c.abandon(); });
  }

  void send(HttpResponse response) override {
    on_server([response = std::move(response)](HttpConnection& c) mutable { c.send(std::move(response)); });
  }
  void start(const std::string& type) override {
    on_server([type](HttpConnection& c) { c.start(type); });
  }
  void write(std::string piece) override {
    on_server([piece = std::move(piece)](HttpConnection& c) mutable { c.write(std::move(piece)); });
  }
  void finish() override {
    on_server([](HttpConnection& c) { c.finish(); });
  }
  bool gone() const override { return connection_->gone(); }

 private:
  template <class F>
  void on_server(F call) {
    net::post(context_, [connection = connection_, number = number_, call = std::move(call)]() mutable {
      if (connection->number() == number) call(*connection);
    });
  }

  std::shared_ptr<HttpConnection> connection_;
  const uint64_t number_;
  net::io_context& context_;
};

}  // namespace

HttpConnection::HttpConnection(tcp::socket socket, HttpServerState& server)
    : stream_(std::move(socket)), server_(server) {
  error_code error;
  const tcp::endpoint from = stream_.socket().remote_endpoint(error);
  peer_ = error ? "unknown" : from.address().to_string();
  server_.connections.insert(this);
}

HttpConnection::~HttpConnection() {
  server_.connections.erase(this);
  server_.end_if_quiet();
}

void HttpConnection::next() {
  if (server_.draining || closing_) return close();
  request_ = {};
  status_ = 0;
  body_bytes_ = 0;
  replied_ = false;
  ++number_;
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(server_.limits.header_bytes));
  parser_->body_limit(server_.limits.body_bytes);
  stream_.expires_after(seconds(first_ ? server_.limits.header_seconds : server_.limits.idle_seconds));
  first_ = false;
  idle_ = buffer_.size() == 0;
  if (!idle_) return read_header();
  // Its first byte ends the idle time.
  auto self = shared_from_this();
  stream_.async_read_some(buffer_.prepare(4096), [self](error_code error, size_t bytes) {
    if (error) return self->close();
    self->buffer_.commit(bytes);
    self->idle_ = false;
    self->read_header();
  });
}

void HttpConnection::refuse_as_full() {
  closing_ = true;
  send(plain_error(503, "too many connections"));
}

void HttpConnection::close() {
  gone_ = true;
  idle_ = true;
  error_code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
  stream_.close();
}

void HttpConnection::send(HttpResponse response) {
  if (replied_) return;
  replied_ = true;
  auto message = head<http::string_body>(response.status, response.type);
  for (const auto& [name, value] : response.fields) message.set(name, value);
  body_bytes_ = response.body.size();
  const bool is_head = request_.method == "HEAD";
  message.body() = std::move(response.body);
  message.prepare_payload();
  if (is_head) message.body().clear();
  std::ostringstream text;
  text << message;
  put(std::move(text).str(), /*last=*/true);
}

void HttpConnection::start(const std::string& type) {
  if (replied_) return;
  replied_ = true;
  auto message = head<http::empty_body>(200, type);
  message.set(http::field::cache_control, "no-cache");
  chunked_ = version_ >= 11;
  if (chunked_) {
    message.chunked(true);
  } else {
    closing_ = true;
    message.keep_alive(false);
  }
  std::ostringstream text;
  text << message.base();
  put(std::move(text).str(), /*last=*/false);
}

void HttpConnection::write(std::string piece) {
  if (piece.empty()) return;  // an empty chunk is the last
  body_bytes_ += piece.size();
  put(chunked_ ? beast::buffers_to_string(http::make_chunk(net::buffer(piece))) : std::move(piece), /*last=*/false);
}

void HttpConnection::abandon() {
  if (!replied_) return send(plain_error(500, "the request was not answered"));
  if (last_ || !began_) return;
  close();
  done();
}

void HttpConnection::finish() { put(chunked_ ? beast::buffers_to_string(http::make_chunk_last()) : "", /*last=*/true); }

template <class Body>
http::response<Body> HttpConnection::head(int status, const std::string& type) {
  status_ = status;
  http::response<Body> message(static_cast<http::status>(status), version_);
  message.set(http::field::content_type, type);
  message.set("X-Content-Type-Options", "nosniff");
  message.keep_alive(!closing_ && keep_alive_);
  return message;
}

void HttpConnection::read_header() {
  stream_.expires_after(seconds(server_.limits.header_seconds));
  auto self = shared_from_this();
  http::async_read_header(stream_, buffer_, *parser_, [self](error_code error, size_t) { self->on_header(error); });
}

void HttpConnection::on_header(error_code error) {
  began_ = steady_clock::now();
  if (error) return refuse(error);
  const auto& message = parser_->get();
  version_ = message.version();
  keep_alive_ = message.keep_alive();
  const std::string target(message.target());
  request_ = {.method = std::string(message.method_string()),
              .path = target.substr(0, target.find('?')),
              .authorization = std::string(message[http::field::authorization]),
              .host = std::string(message[http::field::host]),
              .origin = std::string(message[http::field::origin]),
              .body = "",
              .peer = peer_};
  if (auto refused = server_.handlers.screen(request_)) {
    closing_ = true;  // its body is not read
    return send(std::move(*refused));
  }
  if (beast::iequals(message[http::field::expect], "100-continue")) {
    auto self = shared_from_this();
    static const std::string kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_.expires_after(seconds(server_.limits.write_seconds));
    net::async_write(stream_, net::buffer(kContinue), [self](error_code failed, size_t) {
      if (failed) return self->close();
      self->read_body();
    });
    return;
  }
  read_body();
}

void HttpConnection::read_body() {
  stream_.expires_after(seconds(server_.limits.body_seconds));
  auto self = shared_from_this();
  http::async_read(stream_, buffer_, *parser_, [self](error_code error, size_t) { self->on_body(error); });
}

void HttpConnection::on_body(error_code error) {
  if (error) return refuse(error);
  request_.body = std::move(parser_->get().body());
  stream_.expires_never();
  watch();
  HttpRequest request = request_;
  request_.body.clear();
  server_.handlers.answer(std::move(request), make_reply());
}

void HttpConnection::refuse(error_code error) {
  closing_ = true;
  if (error == http::error::body_limit) {
    send(plain_error(413, "the body has more than " + std::to_string(server_.limits.body_bytes) + " bytes"));
  } else if (error == http::error::header_limit) {
    send(plain_error(431, "the header has more than " + std::to_string(server_.limits.header_bytes) + " bytes"));
  } else if (error == http::error::end_of_stream || error == beast::error::timeout ||
             error.category() != http::make_error_code(http::error::bad_method).category()) {
    close();
  } else {
    send(plain_error(400, "the request is not HTTP/1.1: " + error.message()));
  }
}

void HttpConnection::watch() {
  auto self = shared_from_this();
  stream_.socket().async_wait(tcp::socket::wait_read, [self](error_code error) {
    char byte = 0;
    if (error || self->replied_all_) return;
    const ssize_t seen = ::recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (seen == 0 || (seen < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) self->close();
  });
  replied_all_ = false;
}

void HttpConnection::put(std::string bytes, bool last) {
  if (gone_) {
    if (last) done();
    return;
  }
  unsent_ += bytes.size();
  if (unsent_ > server_.limits.unsent_bytes && !last) return close();
  waiting_.push_back(std::move(bytes));
  last_ = last_ || last;
  if (!writing_) write_next();
}

void HttpConnection::write_next() {
  writing_ = true;
  stream_.expires_after(seconds(server_.limits.write_seconds));
  auto self = shared_from_this();
  net::async_write(stream_, net::buffer(waiting_.front()), [self](error_code error, size_t) {
    self->writing_ = false;
    if (error) {
      self->close();
      return self->done();
    }
    self->unsent_ -= self->waiting_.front().size();
    self->waiting_.pop_front();
    if (!self->waiting_.empty()) return self->write_next();
    self->stream_.expires_never();
    if (self->last_) self->end_reply();
  });
}

void HttpConnection::end_reply() {
  last_ = false;
  replied_all_ = true;
  done();
  error_code ignored;
  stream_.socket().cancel(ignored);  // watch()
  if (closing_ || !keep_alive_) return close_after_reading();
  next();
}

void HttpConnection::close_after_reading() {
  error_code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  idle_ = true;
  stream_.expires_after(seconds(2));
  skip_rest();
}

void HttpConnection::skip_rest() {
  auto self = shared_from_this();
  buffer_.clear();
  stream_.async_read_some(buffer_.prepare(65536), [self](error_code error, size_t) {
    if (error) return self->close();
    self->skip_rest();  // until it closes, or the two seconds are over
  });
}

void HttpConnection::done() {
  if (!began_) return;
  const std::chrono::duration<double> taken = steady_clock::now() - *began_;
  server_.handlers.done({peer_, request_.method, request_.path, gone_ ? 0 : status_, body_bytes_, taken.count()});
  began_.reset();
}

std::shared_ptr<HttpReply> HttpConnection::make_reply() {
  return std::make_shared<PostedReply>(shared_from_this(), server_.context);
}

}  // namespace lora
