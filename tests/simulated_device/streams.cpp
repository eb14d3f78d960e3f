#include "tests/simulated_device/streams.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>

#include "tests/simulated_device/host_view.h"
#include "tests/simulated_device/simulated_device.h"

namespace lora::test {
namespace {

constexpr c10::StreamId kDefault = 0, kCopies = 1;

thread_local c10::StreamId current = kDefault;

c10::Stream stream_of(c10::StreamId id) { return c10::Stream(c10::Stream::UNSAFE, simulated_device(), id); }

// Copies that were queued and not done.
struct Queue {
  std::mutex mutex;
  std::deque<std::pair<at::Tensor, at::Tensor>> waiting;
  uintptr_t queued = 0;  // so far
};

// Never destroyed, as the device's memory is not.
Queue& queue() {
  static auto* const one = new Queue;
  return *one;
}

}  // namespace

c10::Stream default_stream() { return stream_of(kDefault); }
c10::Stream copy_stream() { return stream_of(kCopies); }
c10::Stream current_stream() { return stream_of(current); }
c10::Stream set_current_stream(c10::Stream stream) { return stream_of(std::exchange(current, stream.id())); }

void queue_copy(const at::Tensor& from, const at::Tensor& to) {
  Queue& all = queue();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.waiting.emplace_back(from, to);
  ++all.queued;
}

void* event_on(c10::Stream stream) {
  Queue& all = queue();
  const std::lock_guard<std::mutex> lock(all.mutex);
  return reinterpret_cast<void*>(stream.id() == kCopies ? all.queued : 0);
}

void wait_for(void* event) {
  Queue& all = queue();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const at::AutoDispatchBelowAutograd no_autograd;
  const uintptr_t done = all.queued - all.waiting.size(), last = reinterpret_cast<uintptr_t>(event);
  for (uintptr_t i = done; i < last; ++i) {
    const auto [from, to] = all.waiting.front();
    host_view(to).copy_(from);
    all.waiting.pop_front();
  }
}

}  // namespace lora::test
