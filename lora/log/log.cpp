#include "lora/log/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "lora/terminal/console.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

// Folds a message to the width that the time in front leaves free.
class FoldedMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& shown) override {
    constexpr int kTime = 9, kLeast = 20;  // columns; "12:34:56 "
    const int width = error_console().width;
    const size_t room = width == 0 ? std::string::npos : static_cast<size_t>(std::max(width - kTime, kLeast));
    std::string text;
    for (const std::string& line : folded({message.payload.data(), message.payload.size()}, room)) {
      text += (text.empty() ? "" : "\n" + std::string(kTime, ' ')) + line;
    }
    shown.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<FoldedMessage>(); }
};

struct Log {
  // The text between %^ and %$ gets the level's colour. The level info has no colour.
  Log() {
    const auto terminal = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    terminal->set_color(spdlog::level::info, terminal->reset);
    const Console shown = error_console();
    auto lines = std::make_unique<spdlog::pattern_formatter>();
    // A line that is drawn again may be there; it is drawn anew below.
    lines->add_flag<FoldedMessage>('*').set_pattern(shown.redraws ? "\r\x1b[K%T %^%*%$" : "%T %^%*%$");
    terminal->set_formatter(std::move(lines));
    if (!shown.colour) terminal->set_color_mode(spdlog::color_mode::never);
    outputs->add_sink(terminal);
    logger.flush_on(spdlog::level::info);
  }

  std::shared_ptr<spdlog::sinks::dist_sink_mt> outputs = std::make_shared<spdlog::sinks::dist_sink_mt>();
  spdlog::logger logger{"lora", outputs};
  std::shared_ptr<spdlog::sinks::sink> file;
};

Log& log() {
  static Log log;
  return log;
}

}  // namespace

void log_info(const std::string& message) { log().logger.info(harmless(message)); }
void log_warning(const std::string& message) { log().logger.warn("warning: " + harmless(message)); }
void log_error(const std::string& message) { log().logger.error("error: " + harmless(message)); }

void log_nothing() { log().logger.set_level(spdlog::level::off); }

void log_to_file(const std::filesystem::path& file) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    sink->set_pattern("%Y-%m-%d %T %v");
    Log& to = log();
    if (to.file) to.outputs->remove_sink(to.file);
    to.outputs->add_sink(sink);
    to.file = sink;
  } catch (const spdlog::spdlog_ex& error) {
    throw StorageError(file.string() + ": found no way to write log lines (" + error.what() +
                       "), expected a file in a folder that can be written to");
  }
}

}  // namespace lora
