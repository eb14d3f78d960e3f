// What LibTorch asks of a device: its memory, its streams (streams.h) and the few operations that say what a tensor is.
// fallback.cpp has the others.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/DeviceType.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <cstring>

#include "tests/simulated_device/arena.h"
#include "tests/simulated_device/host_view.h"
#include "tests/simulated_device/streams.h"

namespace lora::test {
namespace {

constexpr at::DeviceType kType = at::DeviceType::PrivateUse1;
const at::Device kDevice(kType, 0);

class Memory final : public c10::DeviceAllocator {
 public:
  at::DataPtr allocate(size_t bytes) override {
    void* const address = Arena::get().allocate(bytes);
    return {address, address, &give_back, kDevice};
  }
  at::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(Arena::get().inside(to), Arena::get().inside(from), bytes);
  }

  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const at::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override {
    c10::CachingDeviceAllocator::DeviceStats stats;
    const SimulatedMemory memory = Arena::get().memory();
    stats.allocated_bytes[0].current = memory.held;
    stats.allocated_bytes[0].peak = memory.peak;
    return stats;
  }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override { Arena::get().reset_peak(); }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex) override {
    const size_t size = Arena::get().size();
    return {size - static_cast<size_t>(Arena::get().memory().held), size};
  }

 private:
  static void give_back(void* address) { Arena::get().release(address); }
};

Memory memory;
REGISTER_ALLOCATOR(kType, &memory);

struct Guard final : c10::impl::NoOpDeviceGuardImpl<kType> {
  at::Device exchangeDevice(at::Device) const override { return kDevice; }
  at::Device getDevice() const override { return kDevice; }
  c10::Stream getStream(at::Device) const noexcept override { return current_stream(); }
  c10::Stream getDefaultStream(at::Device) const override { return default_stream(); }
  c10::Stream getStreamFromGlobalPool(at::Device, bool) const override { return copy_stream(); }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return set_current_stream(stream); }
  void record(void** event, const c10::Stream& stream, c10::DeviceIndex, c10::EventFlag) const override {
    *event = event_on(stream);
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (stream == default_stream()) wait_for(event);
  }
  bool queryEvent(void*) const override { return true; }
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

// What autograd asks before it starts a thread for the device, and what at::manual_seed asks.
struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = at::detail::createCPUGenerator();
    return generator;
  }
};

const bool is_registered = [] {
  static Hooks hooks;
  at::RegisterPrivateUse1HooksInterface(&hooks);
  c10::register_privateuse1_backend("privateuseone");
  return true;
}();

std::atomic<int64_t> reads = 0, writes = 0;

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool> pinned, std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(!c10::pinned_memory_or_default(pinned), "memory of the device is not the host's to pin");
  return at::detail::empty_generic(size, &memory, kKeys, c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &memory, kKeys, c10::dtype_or_default(dtype));
}

const at::Tensor& resize(const at::Tensor& self, at::IntArrayRef size, std::optional<at::MemoryFormat>) {
  resize_on_device(self, size);
  return self;
}

// Between the two sides, or on the device.
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (from.is_cpu() && non_blocking && current_stream() == copy_stream()) {
    queue_copy(from, to);
    return to;
  }
  if (to.is_cpu()) count_simulated_read();
  if (from.is_cpu()) ++writes;
  const auto view = [](const at::Tensor& t) { return t.device().type() == kType ? host_view(t) : t; };
  const at::AutoDispatchBelowAutograd no_autograd;
  view(to).copy_(view(from));
  return to;
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("resize_", resize);
  m.impl("_copy_from", copy_from);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", static_cast<at::Tensor (*)(const at::Tensor&, at::IntArrayRef)>(at::native::view));
  m.impl("_reshape_alias",
         static_cast<at::Tensor (*)(const at::Tensor&, at::IntArrayRef, at::IntArrayRef)>(at::native::_reshape_alias));
  m.impl("unfold", at::native::unfold);
}

}  // namespace

at::Device simulated_device() { return kDevice; }
SimulatedMemory simulated_memory() { return Arena::get().memory(); }
void reset_simulated_peak() { Arena::get().reset_peak(); }
int64_t simulated_reads() { return reads; }
void count_simulated_read() { ++reads; }
int64_t simulated_writes() { return writes; }

at::Tensor host_view(const at::Tensor& t) {
  std::byte* const first = Arena::get().inside(t.storage().data());
  return at::from_blob(first ? first + t.storage_offset() * static_cast<int64_t>(t.element_size()) : first, t.sizes(),
                       t.strides(), t.options().device(at::kCPU).requires_grad(false));
}

void resize_on_device(const at::Tensor& t, at::IntArrayRef size) {
  const size_t bytes =
      at::detail::computeStorageNbytesContiguous(size, t.dtype().itemsize(), static_cast<size_t>(t.storage_offset()));
  c10::Storage storage = t.storage();
  if (bytes > storage.nbytes()) {
    at::DataPtr larger = memory.allocate(bytes);
    if (storage.nbytes() > 0) memory.copy_data(larger.get(), storage.data(), storage.nbytes());
    storage.set_data_ptr_noswap(std::move(larger));
    storage.set_nbytes(bytes);
  }
  t.unsafeGetTensorImpl()->set_sizes_contiguous(size);
}

}  // namespace lora::test
