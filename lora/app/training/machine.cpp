#include "lora/app/training/machine.h"

#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ATen/ATen.h>
#include <ATen/Version.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <string>

#include "models/engine/dense_product.h"
#include "models/engine/devices.h"
#include "models/engine/operations.h"

namespace lora {

CoreList usable_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  std::map<std::string, std::vector<int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream in("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(in, siblings)) siblings = "cpu" + std::to_string(cpu);
    cores[siblings].push_back(cpu);
  }
  CoreList list;
  for (auto& [siblings, cpus] : cores) list.push_back(std::move(cpus));
  std::ranges::sort(list);
  return list;
}

int64_t physical_cores() { return std::max<int64_t>(1, std::ssize(usable_cores())); }

void use_cores(const CoreList& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const std::vector<int>& core : cores) {
    for (const int cpu : core) CPU_SET(cpu, &set);
  }
  sched_setaffinity(0, sizeof set, &set);
}

void use_all_cores() {
  cpu_set_t set;
  std::memset(&set, 0xff, sizeof set);  // the system keeps those that there are
  sched_setaffinity(0, sizeof set, &set);
}

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string machine_name() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return host_name() + " " + id;
}

std::string instruction_set() { return at::get_cpu_capability(); }

std::string slow_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !instruction_set().starts_with("AVX")) {
    return "LibTorch does not use the AVX2 that this processor has: its steps are slow, and their bits are other ones. "
           "Either ATEN_CPU_CAPABILITY says so, or memory ran out, or /proc and /sys cannot be read";
  }
#endif
  return "";
}

int64_t peak_memory_bytes(at::Device device) {
  if (const auto bytes = peak_device_bytes(device)) return *bytes;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

int64_t machine_memory_bytes() {
  int64_t bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  for (const char* file : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream in(file);
    int64_t limit = 0;
    if (in >> limit && limit > 0) bytes = std::min(bytes, limit);  // "max" reads as nothing
  }
  return bytes;
}

void ask_for_huge_pages(char** argv) {
  constexpr const char* kTunables = "GLIBC_TUNABLES";
  std::ifstream in("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string modes;
  if (std::getenv(kTunables) || !std::getline(in, modes) || modes.find("[madvise]") == std::string::npos) return;
  if (::setenv(kTunables, "glibc.malloc.hugetlb=1", 1) != 0) return;
  ::execv("/proc/self/exe", argv);  // returns where it cannot: nothing is lost but speed
}

void wait_passively(char** argv) {
  constexpr const char* kPolicy = "OMP_WAIT_POLICY";
  if (std::getenv(kPolicy) || ::setenv(kPolicy, "passive", 1) != 0) return;
  ::execv("/proc/self/exe", argv);  // returns where it cannot: nothing is lost but speed
}

void keep_freed_memory() {
#if defined(__GLIBC__)
  // A threshold that is set no longer follows what is freed: large tensors too are to come from what is kept.
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

double measured_peak(at::Device device, at::ScalarType dtype) {
  const bool large = device.is_cuda();  // a small product ends before a GPU is busy
  const int64_t n = large ? 4096 : 512, in = large ? 4096 : 768, out = large ? 4096 : 2048;
  const auto options = at::TensorOptions(dtype).device(device);
  const at::Tensor x = at::ones({n, in}, options), w = at::ones({out, in}, options);
  at::Tensor y = at::empty({n, out}, options);
  const WeightProduct own{.terms = {{x, w, /*transposed=*/true}}, .y = y};
  const Operations* const operations = operations_for(x);
  const bool takes_own = device.is_cpu() && operations && operations->takes_product(dtype, n, w.sizes());
  const auto wait = [&] {
    if (!device.is_cpu()) y[0][0].item<double>();
  };
  double best = 0;
  const auto measure = [&](const auto& multiply) {
    wait();
    const auto start = std::chrono::steady_clock::now();
    multiply();
    wait();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 2.0 * static_cast<double>(n * in * out) / seconds);
  };
  for (int i = 0; i < 6; ++i) {
    if (!takes_own || !is_slow_in_library(x)) measure([&] { at::mm_out(y, x, w.t()); });
    if (takes_own) measure([&] { operations->weight_products({&own, 1}); });
  }
  return best;
}

}  // namespace lora
