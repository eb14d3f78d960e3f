#include "models/io/ggml_types.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "models/base/numbers.h"
#include "models/base/threads.h"

namespace lora {
namespace {

constexpr int64_t kQ8Block = 32;
constexpr size_t kQ8Bytes = 2 + kQ8Block;
constexpr int64_t kUnit = 32;       // the minimum number of values per thread; a multiple of every block
constexpr int64_t kGrain = 1 << 9;  // units

// Rounds half away from zero, like roundf, in a form that compiles to vector instructions. Adding the largest float
// below 0.5 carries exactly the fractions of at least 0.5 to the next integer. Correct for |x| < 2^22.
inline int8_t rounded(float x) { return static_cast<int8_t>(static_cast<int32_t>(x + std::copysign(0.49999997f, x))); }

// A NaN in the block gives the scale NaN, so the block decodes to NaN.
void encode_q8_block(const float* x, std::byte* to) {
  float most = 0;
  bool finite = true;
  for (int64_t i = 0; i < kQ8Block; ++i) {
    most = std::max(most, std::abs(x[i]));
    finite &= std::isfinite(x[i]);
  }
  const float scale = finite ? most / 127.0f : std::nanf("");
  const c10::Half stored(scale);
  std::memcpy(to, &stored, sizeof(stored));
  const float inverse = finite && scale != 0 ? 1.0f / scale : 0.0f;
  int8_t values[kQ8Block];
  for (int64_t i = 0; i < kQ8Block; ++i) values[i] = finite ? rounded(x[i] * inverse) : int8_t{1};
  std::memcpy(to + sizeof(stored), values, sizeof(values));
}

template <typename Narrow>
void encode_plain(const float* x, int64_t count, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) {
    const Narrow value(x[i]);
    std::memcpy(to + static_cast<size_t>(i) * sizeof(Narrow), &value, sizeof(Narrow));
  }
}

template <typename Narrow>
void decode_plain(const std::byte* from, float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    Narrow value;
    std::memcpy(&value, from + static_cast<size_t>(i) * sizeof(Narrow), sizeof(Narrow));
    x[i] = static_cast<float>(value);
  }
}

// True if F16 holds every finite value after division by `divisor`. F16's largest value is 65504; 65520 is the first
// that rounds to infinity.
bool fits_half(const float* x, int64_t count, float divisor) {
  bool fits = true;
  for (int64_t i = 0; i < count; ++i) fits &= !(std::abs(x[i]) / divisor >= 65520.0f) || std::isinf(x[i]);
  return fits;
}

// Calls f(begin, count) for pieces of [0, size). Each piece begins at a multiple of kUnit.
void for_each_range(size_t size, const std::function<void(int64_t begin, int64_t count)>& f) {
  const auto values = static_cast<int64_t>(size);
  parallel_for(ceil_div(values, kUnit), kGrain,
               [&](int64_t first, int64_t last) { f(first * kUnit, std::min(last * kUnit, values) - first * kUnit); });
}

}  // namespace

std::string_view ggml_name(GgmlType type) {
  switch (type) {
    case GgmlType::kF32:
      return "F32";
    case GgmlType::kF16:
      return "F16";
    case GgmlType::kQ8_0:
      return "Q8_0";
    case GgmlType::kBF16:
      return "BF16";
  }
  return "";
}

std::optional<GgmlType> ggml_type(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kQ8_0, GgmlType::kBF16}) {
    if (ggml_name(type) == upper) return type;
  }
  return std::nullopt;
}

int64_t ggml_block(GgmlType type) { return type == GgmlType::kQ8_0 ? kQ8Block : 1; }

size_t ggml_bytes(GgmlType type, int64_t values) {
  const auto count = static_cast<size_t>(values);
  if (type == GgmlType::kQ8_0) return count / kQ8Block * kQ8Bytes;
  return count * (type == GgmlType::kF32 ? 4 : 2);
}

bool ggml_encode(GgmlType type, std::span<const float> values, std::byte* to) {
  std::atomic<bool> fits{true};
  for_each_range(values.size(), [&](int64_t begin, int64_t count) {
    const float* x = values.data() + begin;
    std::byte* out = to + ggml_bytes(type, begin);
    if (type == GgmlType::kF32) std::memcpy(out, x, static_cast<size_t>(count) * sizeof(float));
    if (type == GgmlType::kBF16) encode_plain<c10::BFloat16>(x, count, out);
    if (type == GgmlType::kF16) {
      encode_plain<c10::Half>(x, count, out);
      if (!fits_half(x, count, 1)) fits = false;
    }
    if (type == GgmlType::kQ8_0) {
      for (int64_t i = 0; i < count; i += kQ8Block) encode_q8_block(x + i, out + ggml_bytes(type, i));
      if (!fits_half(x, count, 127)) fits = false;
    }
  });
  return fits;
}

void ggml_decode(GgmlType type, const std::byte* from, std::span<float> values) {
  for_each_range(values.size(), [&](int64_t begin, int64_t count) {
    float* x = values.data() + begin;
    const std::byte* in = from + ggml_bytes(type, begin);
    if (type == GgmlType::kF32) std::memcpy(x, in, static_cast<size_t>(count) * sizeof(float));
    if (type == GgmlType::kBF16) decode_plain<c10::BFloat16>(in, x, count);
    if (type == GgmlType::kF16) decode_plain<c10::Half>(in, x, count);
    if (type != GgmlType::kQ8_0) return;
    for (int64_t i = 0; i < count; i += kQ8Block) {
      const std::byte* block = in + ggml_bytes(type, i);
      float scale = 0;
      decode_plain<c10::Half>(block, &scale, 1);
      for (int64_t j = 0; j < kQ8Block; ++j) {
        x[i + j] = scale * static_cast<float>(static_cast<int8_t>(block[2 + j]));
      }
    }
  });
}

}  // namespace lora
