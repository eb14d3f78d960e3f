#pragma once
// The streams of the simulated device. What is computed on the default stream is done at once. A copy from the host on the
// other one is done as late as it may be: when the default stream waits for an event behind it. Who does not wait reads
// what was there before.

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

namespace lora::test {

c10::Stream default_stream();
c10::Stream copy_stream();

// Of the calling thread.
c10::Stream current_stream();
c10::Stream set_current_stream(c10::Stream stream);  // returns the one before

// Queues a copy on the copy stream. The tensors are kept until it is done.
void queue_copy(const at::Tensor& from, const at::Tensor& to);

// An event of a stream, as a value to keep, and waiting for it.
void* event_on(c10::Stream stream);
void wait_for(void* event);

}  // namespace lora::test
