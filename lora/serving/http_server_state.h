#pragma once
// What a server (http_server.h) and its connections share, on the server's thread.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <unordered_set>
#include <utility>

#include "lora/serving/http_server.h"

namespace lora {

class HttpConnection;

class HttpServerState {
 public:
  HttpServerState(HttpLimits given_limits, HttpHandlers given_handlers)
      : limits(given_limits), handlers(std::move(given_handlers)) {}

  void accept();
  void drain(int by_signal);
  void end_if_quiet();

  std::unordered_set<HttpConnection*> connections;  // before the context, whose end takes the last of them away
  boost::asio::io_context context{1};
  boost::asio::ip::tcp::acceptor acceptor{context};
  boost::asio::signal_set signals{context};
  boost::asio::steady_timer deadline{context}, pause{context};
  HttpLimits limits;
  HttpHandlers handlers;
  int64_t drain_seconds = 0;
  int signal = 0;
  bool draining = false;
};

}  // namespace lora
