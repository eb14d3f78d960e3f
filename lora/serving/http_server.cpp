#include "lora/serving/http_server.h"

#include <boost/asio/post.hpp>
#include <csignal>

#include "lora/serving/http_connection.h"
#include "lora/serving/serving_error.h"

namespace lora {
namespace {

namespace net = boost::asio;
using tcp = net::ip::tcp;
using boost::beast::error_code;
using std::chrono::seconds;

}  // namespace

void HttpServerState::accept() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (draining) return;
    if (error) {  // no descriptor is free: try again when one may be
      pause.expires_after(std::chrono::milliseconds(100));
      pause.async_wait([this](error_code stopped) {
        if (!stopped && !draining) accept();
      });
      return;
    }
    const bool full = connections.size() >= limits.connections;
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto connection = std::make_shared<HttpConnection>(std::move(socket), *this);
    full ? connection->refuse_as_full() : connection->next();
    accept();
  });
}

void HttpServerState::drain(int by_signal) {
  if (draining) return context.stop();  // asked twice: at once
  draining = true;
  signal = by_signal;
  error_code ignored;
  acceptor.close(ignored);
  const std::vector<HttpConnection*> all(connections.begin(), connections.end());
  for (HttpConnection* connection : all) {
    if (connection->is_idle()) connection->close();
  }
  deadline.expires_after(seconds(drain_seconds));
  deadline.async_wait([this](error_code error) {
    if (!error) context.stop();
  });
  signals.async_wait([this](error_code error, int again) {
    if (!error) drain(again);
  });
  end_if_quiet();
}

void HttpServerState::end_if_quiet() {
  if (!draining || !connections.empty()) return;
  deadline.cancel();
  pause.cancel();
  error_code ignored;
  signals.cancel(ignored);
}

HttpServer::HttpServer(const std::string& host, uint16_t port, HttpLimits limits, HttpHandlers handlers)
    : state_(std::make_unique<HttpServerState>(limits, std::move(handlers))) {
  error_code error;
  const auto address = net::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error) throw ServingError("--host " + host + ": not an address; expected one as 127.0.0.1, 0.0.0.0 or ::1");
  const tcp::endpoint endpoint(address, port);
  const std::string where = host + ":" + std::to_string(port);
  const auto expect = [&](const char* what) {
    if (error) throw ServingError(where + ": " + what + ": " + error.message() + "; --port 0 takes a free port");
  };
  state_->acceptor.open(endpoint.protocol(), error);
  expect("cannot listen");
  state_->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  expect("cannot listen");
  state_->acceptor.bind(endpoint, error);
  expect("cannot listen");
  state_->acceptor.listen(net::socket_base::max_listen_connections, error);
  expect("cannot listen");
}

HttpServer::~HttpServer() = default;

uint16_t HttpServer::port() const { return state_->acceptor.local_endpoint().port(); }
bool HttpServer::is_loopback() const { return state_->acceptor.local_endpoint().address().is_loopback(); }

int HttpServer::run(int64_t drain_seconds) {
  HttpServerState& state = *state_;
  state.drain_seconds = drain_seconds;
  state.signals.add(SIGINT);
  state.signals.add(SIGTERM);
  state.signals.async_wait([&state](error_code error, int signal) {
    if (!error) state.drain(signal);
  });
  state.accept();
  state.context.run();
  return state.signal;
}

void HttpServer::stop() {
  net::post(state_->context, [this] { state_->drain(0); });
}

}  // namespace lora
