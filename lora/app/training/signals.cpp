#include "lora/app/training/signals.h"

#include <csignal>

namespace lora {
namespace {

volatile std::sig_atomic_t noted = 0;

}  // namespace

void note_stop_signals(bool together) {
  struct sigaction action {};
  action.sa_handler = [](int signal) { noted = signal == SIGUSR1 ? SIGTERM : signal; };
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
  if (together) sigaction(SIGUSR1, &action, nullptr);
}

int stop_signal() { return noted; }

}  // namespace lora
