#include "lora/quantization/int8.h"

#include <ATen/ATen.h>

#include <atomic>
#include <limits>

#include "lora/quantization/device_unpacking.h"
#include "lora/quantization/pieces.h"
#include "lora/quantization/quantizer.h"
#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"

namespace lora {

Int8Weight::Int8Weight(const at::Tensor& weight, at::ScalarType dtype, at::Device device)
    : dtype_(dtype),
      codes_(at::empty(weight.sizes(), at::TensorOptions(at::kChar).device(weight.device()))),
      scales_(at::empty({weight.size(0)}, at::TensorOptions(at::kFloat).device(weight.device()))) {
  if (weight.is_meta()) {
    error_ = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  const int64_t in = weight.size(1);
  std::atomic<bool> finite = true;
  auto* const codes = codes_.mutable_data_ptr<int8_t>();
  auto* const scales = scales_.mutable_data_ptr<float>();
  const auto& k = kernels::table<float>().quantized;
  for_each_piece(weight, in, [&](int64_t first, const float* values, int64_t count) {
    if (!k.int8_encode(values, as_size(count), codes + first, scales + first / in)) finite = false;
  });
  if (!finite) throw NotFinite();
  error_ = relative_difference(weight, in, [&](int64_t first, float* to, int64_t count) {
    k.int8_decode(codes + first, scales[first / in], to, as_size(count));
  });
  codes_ = codes_.to(device);
  scales_ = scales_.to(device);
}

void Int8Weight::unpack(at::Tensor& to) const {
  if (to.is_meta()) return;
  if (!unpacked_by_kernels(to)) return unpack_int8(codes_, scales_, to);
  constexpr int64_t kRowGrain = 16;
  const int64_t in = in_features();
  const auto* const codes = codes_.const_data_ptr<int8_t>();
  const auto* const scales = scales_.const_data_ptr<float>();
  kernels::with_kernels(to, [&]<class T>(const kernels::Kernels<T>& k) {
    parallel_for(out_features(), kRowGrain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        k.quantized.int8_decode(codes + row * in, scales[row], kernels::data<T>(to) + row * in, as_size(in));
      }
    });
  });
}

std::optional<EncodedRows> Int8Weight::encoded_rows() const {
  if (!codes_.is_cpu()) return std::nullopt;
  return EncodedRows{kernels::RowEncoding::kInt8, codes_, steps()};
}

std::vector<std::pair<std::string, at::Tensor>> Int8Weight::tensors() const {
  return {{"weight", codes_}, {"absmax", scales_}};
}

std::shared_ptr<const QuantizedWeight> Int8Weight::held_in(const std::vector<at::Tensor>& memory) const {
  auto other = std::make_shared<Int8Weight>(*this);
  other->codes_ = memory[0];
  other->scales_ = memory[1];
  return other;
}

at::Tensor Int8Weight::steps() const { return scales_ / std::numeric_limits<int8_t>::max(); }

Encoding int8_encoding() {
  const auto pack = [](const at::Tensor& weight, const ModelForm& model,
                       const QuantizationConfig&) -> std::shared_ptr<const QuantizedWeight> {
    return std::make_shared<Int8Weight>(weight, model.dtype, model.device);
  };
  return {Int8Weight::kName, pack, {"8bit"}};
}

}  // namespace lora
