#pragma once
// The devices that this program can compute on: the CPU, and what LibTorch has beside it.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lora {

// The names that model.device and --device accept: auto, cpu, cuda (the first GPU) and cuda:N.
const std::vector<std::string>& device_names();
// Why the name is none of them, with what was expected; empty where it is one.
std::string device_name_problem(const std::string& name);

// Those that there are, beside the CPU. LibTorch finds no GPU without its CUDA libraries, without a card and where the
// driver is too old for it.
std::vector<at::Device> accelerators();

// The device of a name that is not auto. Throws Error (exit code 2) for one that is not there, and says why.
at::Device named_device(const std::string& name);

// Bytes of a device's memory. Nothing where LibTorch does not tell: it is older than 2.10.
struct DeviceMemory {
  int64_t free, total;  // free: of what other programs leave
};
std::optional<DeviceMemory> device_memory(at::Device device);

// Bytes that tensors may yet take of a device: what is free, and what LibTorch keeps of tensors that are gone. Nothing where
// LibTorch does not tell.
std::optional<int64_t> room_on_device(at::Device device);

// The most bytes that tensors held on a device so far. Nothing where LibTorch does not tell.
std::optional<int64_t> peak_device_bytes(at::Device device);

// Has LibTorch choose operations that give the same bits each time, where it has them: of flash attention's gradient, and
// of sums by index. For all devices of the process; on the CPU they do so anyhow.
void prefer_same_bits();

// `t` on the device: itself where it is there. The host does not wait for the device, and may change `t` afterwards: what is
// on the way is a copy. (For CUDA in pinned memory, since the others are copied when the device comes to it.)
at::Tensor on_device(const at::Tensor& t, at::Device device);

}  // namespace lora
