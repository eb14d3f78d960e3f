#include "models/engine/devices.h"

#include <ATen/ATen.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/version.h>

#include <algorithm>
#include <charconv>

#include "models/base/error.h"

#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 10
#define LORA_DEVICE_MEMORY
#include <c10/core/CachingDeviceAllocator.h>
#endif

namespace lora {
namespace {

constexpr const char* kCuda = "cuda";
// LibTorch's name for a device that a library brings. Tests have one; the documents do not speak of it.
constexpr const char* kOther = "privateuseone";

[[noreturn]] void fail_device(const std::string& message) { throw Error(ExitCode::kRecipe, "device", message); }

int64_t count_of(at::DeviceType type) {
  return c10::impl::hasDeviceGuardImpl(type) ? c10::impl::getDeviceGuardImpl(type)->deviceCount() : 0;
}

// "cuda:1" -> 1, "cuda" -> 0; nothing for what is neither.
std::optional<int64_t> index_of(const std::string& name, const std::string& kind) {
  if (name == kind) return 0;
  if (!name.starts_with(kind + ":")) return std::nullopt;
  const char *const begin = name.data() + kind.size() + 1, *const end = name.data() + name.size();
  int64_t index = 0;
  const auto [read, problem] = std::from_chars(begin, end, index);
  const bool whole = problem == std::errc() && read == end && *begin != '-';
  return whole ? std::optional(index) : std::nullopt;
}

std::string devices_of(int64_t count) {
  return count == 1 ? "there is one, cuda:0"
                    : "there are " + std::to_string(count) + ", cuda:0 to cuda:" + std::to_string(count - 1);
}

#ifdef LORA_DEVICE_MEMORY
c10::DeviceAllocator* allocator_of(at::Device device) {
  return device.is_cpu() ? nullptr : dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
}
#endif

}  // namespace

const std::vector<std::string>& device_names() {
  static const std::vector<std::string> names = {"auto", "cpu", "cuda", "cuda:N"};
  return names;
}

std::string device_name_problem(const std::string& name) {
  if (name == "auto" || name == "cpu" || index_of(name, kCuda) || index_of(name, kOther)) return "";
  return "'" + name + "' is not a device; expected auto, cpu, cuda or cuda:N";
}

std::vector<at::Device> accelerators() {
  std::vector<at::Device> all;
  for (const auto type : {at::DeviceType::CUDA, at::DeviceType::PrivateUse1}) {
    for (int64_t i = 0; i < count_of(type); ++i) all.emplace_back(type, static_cast<c10::DeviceIndex>(i));
  }
  return all;
}

at::Device named_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (const std::string problem = device_name_problem(name); !problem.empty()) fail_device(problem);
  const bool is_cuda = name.starts_with(kCuda);
  const at::DeviceType type = is_cuda ? at::DeviceType::CUDA : at::DeviceType::PrivateUse1;
  if (!c10::impl::hasDeviceGuardImpl(type)) {
    fail_device(name + ": this program's LibTorch " + TORCH_VERSION +
                " is built without it; expected cpu, or a build with another LibTorch (scripts/setup --cuda)");
  }
  const int64_t count = count_of(type), index = *index_of(name, is_cuda ? kCuda : kOther);
  if (count == 0) {
    fail_device(name +
                ": LibTorch finds no GPU: there is none, none is visible (CUDA_VISIBLE_DEVICES), or its driver is "
                "too old for this LibTorch; nvidia-smi says which. Expected cpu, or a GPU");
  }
  if (index >= count) fail_device(name + ": there is no such GPU; " + devices_of(count));
  return {type, static_cast<c10::DeviceIndex>(index)};
}

std::optional<DeviceMemory> device_memory([[maybe_unused]] at::Device device) {
#ifdef LORA_DEVICE_MEMORY
  if (device.is_cuda()) at::globalContext().lazyInitDevice(at::kCUDA);
  if (c10::DeviceAllocator* const allocator = allocator_of(device)) {
    const auto [free, total] = allocator->getMemoryInfo(device.index());
    return DeviceMemory{static_cast<int64_t>(free), static_cast<int64_t>(total)};
  }
#endif
  return std::nullopt;
}

std::optional<int64_t> room_on_device([[maybe_unused]] at::Device device) {
#ifdef LORA_DEVICE_MEMORY
  const auto memory = device_memory(device);
  c10::DeviceAllocator* const allocator = allocator_of(device);
  if (!memory || !allocator->initialized()) return memory ? std::optional(memory->free) : std::nullopt;
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const auto stats = allocator->getDeviceStats(device.index());
  return memory->free + std::max<int64_t>(0, stats.reserved_bytes[kAll].current - stats.allocated_bytes[kAll].current);
#else
  return std::nullopt;
#endif
}

std::optional<int64_t> peak_device_bytes([[maybe_unused]] at::Device device) {
#ifdef LORA_DEVICE_MEMORY
  c10::DeviceAllocator* const allocator = allocator_of(device);
  if (allocator && allocator->initialized()) {
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return allocator->getDeviceStats(device.index()).allocated_bytes[kAll].peak;
  }
#endif
  return std::nullopt;
}

void prefer_same_bits() {
  // Others warn once.
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

at::Tensor on_device(const at::Tensor& t, at::Device device) {
  const bool needs_pinned = t.is_cpu() && device.is_cuda();
  return (needs_pinned ? t.pin_memory() : t).to(at::TensorOptions(device), /*non_blocking=*/true);
}

}  // namespace lora
