// The part of the library that takes the place of the clock of the time of day.

#include <sys/time.h>
#include <time.h>

#include <atomic>

#include "tests/faults/interposed/parts.h"

namespace {

bool jumps = false;
std::atomic<long> looks{0};

// Jumps of up to 40 hours, the next in the other direction.
time_t jump() {
  const long look = ++looks;
  return static_cast<time_t>((look % 2 ? 1 : -1) * ((look * 7919) % 144'000));
}

}  // namespace

void interposed::begin_clock() {
  jumps = number("LORA_FAULT_CLOCK") != 0;
  looks = 0;
}

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) {
  static auto* const next = interposed::real<decltype(::clock_gettime)>("clock_gettime");
  const int result = next(clock, now);
  if (jumps && clock == CLOCK_REALTIME) now->tv_sec += jump();
  return result;
}
time_t time(time_t* to) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(timeval* to, void*) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  to->tv_sec = now.tv_sec;
  to->tv_usec = now.tv_nsec / 1000;
  return 0;
}

}  // extern "C"
