#pragma once
// Facts about the machine and this process.

#include <c10/core/ScalarType.h>

#include <cstdint>

namespace lora {

// Cores this process may use, counting the two threads of one core once; at least 1.
int64_t physical_cores();

// The largest resident memory of this process so far, in bytes.
int64_t peak_memory_bytes();

// The memory that this process may use: the machine's, or its control group's limit where that is less; in bytes.
int64_t machine_memory_bytes();

// The FLOP/s of the fastest of a few matrix products of the size that training has: what a step could reach.
double measured_peak(at::ScalarType dtype);

}  // namespace lora
