#include "models/ops/rope.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace lora {
// Computed in float32 where transformers does, so that logits of long contexts agree.
at::Tensor rope_frequencies(const RopeConfig& rope, int64_t head_dim) {
  std::vector<float> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    float f = 1.0f / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.type == RopeConfig::Type::kLinear) f /= static_cast<float>(rope.factor);
    if (rope.type == RopeConfig::Type::kLlama3) {
      const double context = static_cast<double>(rope.original_max_position_embeddings);
      const double wavelength = 2.0 * std::numbers::pi / f;
      const double scaled = f / rope.factor;
      if (wavelength > context / rope.low_freq_factor) {
        f = static_cast<float>(scaled);
      } else if (wavelength >= context / rope.high_freq_factor) {
        const double smooth =
            (context / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        f = static_cast<float>((1.0 - smooth) * scaled + smooth * f);
      }
    }
    frequencies[i] = f;
  }
  return at::tensor(frequencies, at::kFloat);
}

RopeTable make_rope_table(const RopeConfig& rope, int64_t head_dim, int64_t positions) {
  const at::Tensor frequencies = rope_frequencies(rope, head_dim);
  const at::Tensor angles = at::arange(positions, at::kFloat).unsqueeze(1) * frequencies.unsqueeze(0);
  return {angles.cos(), angles.sin()};
}

at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const at::Tensor c = cos.to(x.scalar_type()).unsqueeze(1);
  const at::Tensor s = sin.to(x.scalar_type()).unsqueeze(1);
  const auto halves = x.chunk(2, /*dim=*/-1);
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, /*dim=*/-1);
}

}  // namespace lora
