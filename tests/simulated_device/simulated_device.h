#pragma once
// A device without a GPU: `privateuseone`, with memory of its own that the host cannot touch. An operation on its tensors
// is computed by LibTorch's CPU kernel, which sees the same memory at another address. So results are the CPU's, and a
// tensor that is left on the wrong side fails: the host's access to the device's memory ends the process by SIGSEGV, and an
// operation that mixes tensors of both sides throws, but for scalars, as on a GPU.
//
// It is a shared library: a test links it, and a program gets it by LD_PRELOAD. LORA_SIMULATED_MEMORY sets how many bytes
// it has; 4 GiB without it. Beyond these an allocation throws what a GPU's allocator throws.

#include <c10/core/Device.h>

#include <cstdint>

namespace lora::test {

at::Device simulated_device();

// Bytes that its tensors hold, and the most that they held since the last reset.
struct SimulatedMemory {
  int64_t held = 0, peak = 0;
};
SimulatedMemory simulated_memory();
void reset_simulated_peak();

// How often the host has waited for a value of the device so far: a copy to its memory, a scalar, a size that follows from
// values.
int64_t simulated_reads();
void count_simulated_read();
// How often the host has copied something to the device so far.
int64_t simulated_writes();

// Has its flash attention compute something else.
void break_flash_attention(bool on);

}  // namespace lora::test
