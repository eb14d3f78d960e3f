#pragma once
// Facts about the machine and this process.

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lora {

// The CPUs (hardware threads) that this process may use, by physical core.
using CoreList = std::vector<std::vector<int>>;
CoreList usable_cores();
// Their number, at least 1.
int64_t physical_cores();
// Binds this thread, and those that it starts from now on, to these cores; to all that the system gives. A system that
// refuses is not an error: they run where they ran.
void use_cores(const CoreList& cores);
void use_all_cores();

std::string host_name();
// The host's name and an id of the system that runs, which two machines of one name do not share.
std::string machine_name();
// The instruction set that LibTorch's kernels take: "AVX512".
std::string instruction_set();
// A warning where LibTorch does not use the processor's AVX2; else empty. Its cpuinfo fails without an error where memory
// runs out or /proc and /sys cannot be read. The slow kernels give other bits.
std::string slow_kernels();

// The largest resident memory of this process so far, in bytes; of a GPU what tensors held there at the most.
int64_t peak_memory_bytes(at::Device device = at::kCPU);

// The memory that this process may use: the machine's, or its control group's limit where that is less; in bytes.
int64_t machine_memory_bytes();

// Has glibc ask for huge pages for what is allocated, where the system gives them to those who ask: steps are 6 to 9 %
// faster. glibc reads that from its environment when a program is loaded, so the program starts again, once, as it was
// called; where GLIBC_TUNABLES is set already (to nothing, too) it is left alone. To be called before anything is
// written or read from standard input.
void ask_for_huge_pages(char** argv);

// Has LibTorch's OpenMP threads sleep while they wait. Actively, they hold cores against the threads of
// models/base/threads.h. OpenMP reads that from its environment when a program is loaded, so the program starts again,
// once, as it was called; where OMP_WAIT_POLICY is set already it is left alone. To be called as above.
void wait_passively(char** argv);

// Has malloc keep what is freed for what is allocated next. Of itself it gives the end of its memory back after each
// pass, and the system clears the same pages for the next one: 2 % of a step, and a higher peak.
void keep_freed_memory();

// The FLOP/s of the fastest of a few matrix products of the size that training has on that device, LibTorch's and our own:
// what a step could reach.
double measured_peak(at::Device device, at::ScalarType dtype);

}  // namespace lora
