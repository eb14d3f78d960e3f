#include "lora/quantization/nf4.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>

#include "lora/quantization/device_unpacking.h"
#include "lora/quantization/pieces.h"
#include "lora/quantization/quantizer.h"
#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"

namespace lora {
namespace {

constexpr int64_t kBlock = kernels::kNf4Block;
constexpr int64_t kPiece = kBlock * kNestedBlock;  // values per nested block

}  // namespace

Nf4Weight::Nf4Weight(const at::Tensor& weight, at::ScalarType dtype, bool double_quantization, at::Device device)
    : out_(weight.size(0)), in_(weight.size(1)), dtype_(dtype) {
  const int64_t n = weight.numel(), blocks = ceil_div(n, kBlock);
  const auto options = at::TensorOptions().device(weight.device());
  codes_ = at::empty({ceil_div<int64_t>(n, 2)}, options.dtype(at::kByte));
  scales_ = at::empty({blocks}, options.dtype(at::kFloat));
  if (weight.is_meta()) {
    error_ = std::numeric_limits<double>::quiet_NaN();
    if (!double_quantization) return;
    nested_ = {at::empty({blocks}, codes_.options()), at::empty({ceil_div(blocks, kNestedBlock)}, scales_.options())};
    scales_.reset();
    return;
  }

  std::atomic<bool> finite = true;
  auto* const codes = codes_.mutable_data_ptr<uint8_t>();
  auto* const scales = scales_.mutable_data_ptr<float>();
  const auto& k = kernels::table<float>().quantized;
  for_each_piece(weight, kPiece, [&](int64_t first, const float* values, int64_t count) {
    if (!k.nf4_encode(values, as_size(count), codes + first / 2, scales + first / kBlock)) finite = false;
  });
  if (!finite) throw NotFinite();
  if (double_quantization) {
    nested_ = nest_scales(scales_);
    scales_.reset();
  }
  error_ = relative_difference(weight, kPiece, [&](int64_t first, float* to, int64_t count) {
    std::array<float, kNestedBlock> block_scales{};
    decode_scales(first / kBlock, ceil_div(first + count, kBlock), block_scales.data());
    k.nf4_decode(codes + first / 2, block_scales.data(), to, as_size(count));
  });
  codes_ = codes_.to(device);
  if (nested_) {
    nested_->codes = nested_->codes.to(device);
    nested_->absmax = nested_->absmax.to(device);
  } else {
    scales_ = scales_.to(device);
  }
}

void Nf4Weight::decode_scales(int64_t begin, int64_t end, float* scales) const {
  if (nested_) return nested_->decode(begin, end, scales);
  std::copy_n(scales_.const_data_ptr<float>() + begin, end - begin, scales);
}

void Nf4Weight::unpack(at::Tensor& to) const {
  if (to.is_meta()) return;
  if (!unpacked_by_kernels(to)) return unpack_nf4(codes_, nested_ ? decoded_scales(*nested_) : scales_, to);
  const int64_t n = out_ * in_;
  const auto* const codes = codes_.const_data_ptr<uint8_t>();
  kernels::with_kernels(to, [&]<class T>(const kernels::Kernels<T>& k) {
    parallel_for(ceil_div(n, kPiece), 1, [&](int64_t begin, int64_t end) {
      std::array<float, kNestedBlock> scales{};
      for (int64_t first = begin * kPiece; first < std::min(end * kPiece, n); first += kPiece) {
        const int64_t count = std::min(kPiece, n - first);
        decode_scales(first / kBlock, ceil_div(first + count, kBlock), scales.data());
        k.quantized.nf4_decode(codes + first / 2, scales.data(), kernels::data<T>(to) + first, as_size(count));
      }
    });
  });
}

std::optional<EncodedRows> Nf4Weight::encoded_rows() const {
  if (in_ % kBlock != 0 || !codes_.is_cpu()) return std::nullopt;
  if (!nested_) return EncodedRows{kernels::RowEncoding::kNf4, codes_, scales_};
  const int64_t blocks = out_ * in_ / kBlock;
  const at::Tensor scales = at::empty({blocks}, at::kFloat);
  decode_scales(0, blocks, scales.mutable_data_ptr<float>());
  return EncodedRows{kernels::RowEncoding::kNf4, codes_, scales};
}

std::vector<std::pair<std::string, at::Tensor>> Nf4Weight::tensors() const {
  if (!nested_) return {{"weight", codes_}, {"absmax", scales_}};
  return {{"weight", codes_},
          {"absmax", nested_->codes},
          {"nested_absmax", nested_->absmax},
          {"offset", at::scalar_tensor(nested_->offset)}};
}

std::vector<at::Tensor> Nf4Weight::memory() const {
  if (!nested_) return {codes_, scales_};
  return {codes_, nested_->codes, nested_->absmax};
}

std::shared_ptr<const QuantizedWeight> Nf4Weight::held_in(const std::vector<at::Tensor>& memory) const {
  auto other = std::make_shared<Nf4Weight>(*this);
  other->codes_ = memory[0];
  if (nested_) {
    other->nested_ = {memory[1], memory[2], nested_->offset};
  } else {
    other->scales_ = memory[1];
  }
  return other;
}

Encoding nf4_encoding() {
  const auto pack = [](const at::Tensor& weight, const ModelForm& model,
                       const QuantizationConfig& config) -> std::shared_ptr<const QuantizedWeight> {
    return std::make_shared<Nf4Weight>(weight, model.dtype, config.double_quantization, model.device);
  };
  return {Nf4Weight::kName, pack, {"4bit", "fp4"}};
}

}  // namespace lora
