#include "models/network/rope.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/base/error.h"
#include "models/engine/devices.h"

namespace lora {
namespace {

using Type = RopeConfig::Type;

double llama3_frequency(const RopeConfig& rope, float f) {
  const double context = static_cast<double>(rope.original_max_position_embeddings);
  const double wavelength = 2.0 * std::numbers::pi / f;
  const double scaled = f / rope.factor;
  if (wavelength > context / rope.low_freq_factor) return scaled;
  if (wavelength < context / rope.high_freq_factor) return f;
  const double smooth = (context / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - smooth) * scaled + smooth * f;
}

// Of each pair of dimensions, how much of its own frequency it keeps: those that turn often within the original context
// all of it, those that hardly turn none.
std::vector<float> yarn_kept(const RopeConfig& rope, int64_t dim) {
  const auto turning = [&](double turns) {  // the dimension that makes so many turns
    return static_cast<double>(dim) *
           std::log(static_cast<double>(rope.original_max_position_embeddings) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = turning(rope.beta_fast), high = turning(rope.beta_slow);
  if (rope.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  std::vector<float> kept;
  for (int64_t i = 0; i < dim / 2; ++i) {
    kept.push_back(static_cast<float>(1.0 - std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0)));
  }
  return kept;
}

}  // namespace

// Computed in float32 where transformers does, so that logits of long contexts agree.
at::Tensor rope_frequencies(const RopeConfig& rope, int64_t head_dim, bool long_context) {
  const int64_t dim = rope.rotated(head_dim);
  std::vector<float> frequencies(static_cast<size_t>(dim / 2));
  const std::vector<float> kept = rope.type == Type::kYarn ? yarn_kept(rope, dim) : std::vector<float>();
  const auto factor = static_cast<float>(rope.factor);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    const float period = std::pow(static_cast<float>(rope.theta), exponent);
    float f = 1.0f / period;
    switch (rope.type) {
      case Type::kDefault:
        break;
      case Type::kLinear:
        f /= factor;
        break;
      case Type::kLlama3:
        f = static_cast<float>(llama3_frequency(rope, f));
        break;
      case Type::kYarn:
        f = 1.0f / (factor * period) * (1.0f - kept[i]) + f * kept[i];
        break;
      case Type::kLongRope:
        f = 1.0f / (static_cast<float>((long_context ? rope.long_factor : rope.short_factor)[i]) * period);
        break;
    }
    frequencies[i] = f;
  }
  return at::tensor(frequencies, at::kFloat);
}

RopePositions::RopePositions(RopeConfig rope, int64_t head_dim, int64_t max_positions)
    : rope_(std::move(rope)), head_dim_(head_dim), max_positions_(max_positions) {}

// Element by element: the first vectorised cosine of a process was off by 1e-4 in 6 of 80 starts with two threads on a
// busy machine (LibTorch 2.13; the second was right), and in none of 110 where one thread had made one before.
RopeTable RopePositions::table(int64_t positions, bool long_context) const {
  const at::Tensor frequencies = rope_frequencies(rope_, head_dim_, long_context);
  const at::Tensor angles = at::arange(positions, at::kFloat).unsqueeze(1) * frequencies.unsqueeze(0);
  RopeTable table{at::empty_like(angles), at::empty_like(angles)};
  const float* const angle = angles.const_data_ptr<float>();
  float *const cos = table.cos.mutable_data_ptr<float>(), *const sin = table.sin.mutable_data_ptr<float>();
  for (int64_t i = 0; i < angles.numel(); ++i) {
    cos[i] = static_cast<float>(std::cos(static_cast<double>(angle[i])) * rope_.attention_factor);
    sin[i] = static_cast<float>(std::sin(static_cast<double>(angle[i])) * rope_.attention_factor);
  }
  return table;
}

void expect_positions(const RopeConfig& rope, int64_t length) {
  if (rope.most_positions == 0 || length <= rope.most_positions) return;
  throw ModelError("a text of " + std::to_string(length) + " tokens is longer than max_position_embeddings " +
                   std::to_string(rope.most_positions) + ", where dynamic RoPE changes with the length, which is not " +
                   "supported; expected shorter texts (training.max_length)");
}

RopeTable RopePositions::of(const std::vector<int64_t>& starts, const std::vector<int64_t>& lengths,
                            const at::Device& device) {
  const int64_t original = rope_.original_max_position_embeddings;
  int64_t longest = 0;
  for (size_t i = 0; i < lengths.size(); ++i) longest = std::max(longest, starts[i] + lengths[i]);
  expect_positions(rope_, longest);
  const bool two = rope_.type == Type::kLongRope && longest > original;
  const auto grow = [&](RopeTable& held, bool long_context) {
    if (held.cos.defined() && held.cos.size(0) >= longest && held.cos.device() == device) return;
    held = table(std::max(longest, std::min<int64_t>(max_positions_, 4096)), long_context);
    held = {on_device(held.cos, device), on_device(held.sin, device)};
  };
  grow(short_, false);
  if (two) grow(long_, true);

  std::vector<at::Tensor> spans;
  const int64_t after_short = short_.cos.size(0);  // where the long table's rows begin
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t end = starts[i] + lengths[i];
    const bool is_long = two && end > original;
    if (is_long && starts[i] > 0 && starts[i] <= original) {
      throw ModelError("a text grows beyond " + std::to_string(original) +
                       " tokens, where LongRoPE turns all of them otherwise than those already computed; expected a "
                       "prompt that is longer from the start, or fewer new tokens");
    }
    const int64_t first = starts[i] + (is_long ? after_short : 0);
    spans.push_back(at::arange(first, first + lengths[i], at::kLong));
  }
  const at::Tensor rows = on_device(at::cat(spans), device);
  const auto pick = [&](const at::Tensor& small, const at::Tensor& large) {
    return (two ? at::cat({small, large}) : small).index_select(0, rows);
  };
  return {pick(short_.cos, long_.cos), pick(short_.sin, long_.sin)};
}

at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const at::Tensor c = cos.to(x.scalar_type()).unsqueeze(1);
  const at::Tensor s = sin.to(x.scalar_type()).unsqueeze(1);
  const int64_t half = cos.size(-1), turned = 2 * half;
  const at::Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
  std::vector<at::Tensor> parts = {a * c - b * s, b * c + a * s};
  if (turned < x.size(-1)) parts.push_back(x.slice(-1, turned));
  return at::cat(parts, /*dim=*/-1);
}

}  // namespace lora
