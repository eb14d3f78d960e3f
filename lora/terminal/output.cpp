#include "lora/terminal/output.h"

#include <mutex>

namespace lora {
namespace {

using Clock = std::chrono::steady_clock;

// A process has one terminal.
struct Output {
  std::mutex mutex;  // of all below
  std::FILE* drawn_on = nullptr;
  Clock::time_point last_said = Clock::now();

  void erase() {
    if (drawn_on) write("\r\x1b[K", drawn_on);
    drawn_on = nullptr;
  }
  static void write(std::string_view text, std::FILE* file) {
    std::fwrite(text.data(), 1, text.size(), file);
    std::fflush(file);
  }
};

Output output;

}  // namespace

void say(std::string_view text, std::FILE* file) {
  if (text.empty()) return;
  const std::lock_guard lock(output.mutex);
  output.erase();
  Output::write(text, file);
  output.last_said = Clock::now();
}

std::chrono::steady_clock::duration silence() {
  const std::lock_guard lock(output.mutex);
  return Clock::now() - output.last_said;
}

bool is_silence_long() { return silence() + kGlance >= kSilence; }

void draw(std::string_view line, std::FILE* file) {
  const std::lock_guard lock(output.mutex);
  if (output.drawn_on != file) output.erase();
  Output::write("\r\x1b[K", file);
  Output::write(line, file);
  output.drawn_on = file;
}

void erase_drawn() {
  const std::lock_guard lock(output.mutex);
  output.erase();
}

void keep_drawn() {
  const std::lock_guard lock(output.mutex);
  if (output.drawn_on) Output::write("\n", output.drawn_on);
  output.drawn_on = nullptr;
}

}  // namespace lora
