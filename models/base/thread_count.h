#pragma once
// Whether the system gives a process its threads.

#include <cstdint>

namespace lora {

// Throws Error "[memory]" (exit code 4) where so many threads, or the memory for their stacks, cannot be had. OpenMP
// would end the process with exit code 1, so this finds out first, by starting them.
void expect_threads(int64_t count);

}  // namespace lora
