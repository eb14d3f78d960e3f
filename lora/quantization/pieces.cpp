#include "lora/quantization/pieces.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/base/numbers.h"
#include "models/base/threads.h"

namespace lora {

void for_each_piece(const at::Tensor& values, int64_t piece,
                    const std::function<void(int64_t, const float*, int64_t)>& f) {
  const at::Tensor flat = values.view(-1);
  const int64_t n = flat.numel();
  parallel_for(ceil_div(n, piece), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * piece, count = std::min(piece, n - first);
      const at::Tensor floats = flat.narrow(0, first, count).to(at::kFloat);
      f(first, floats.const_data_ptr<float>(), count);
    }
  });
}

double relative_difference(const at::Tensor& values, int64_t piece,
                           const std::function<void(int64_t, float*, int64_t)>& decode) {
  const auto pieces = static_cast<size_t>(ceil_div(values.numel(), piece));
  std::vector<double> squares(pieces), differences(pieces);
  for_each_piece(values, piece, [&](int64_t first, const float* expected, int64_t count) {
    std::vector<float> found(static_cast<size_t>(count));
    decode(first, found.data(), count);
    const auto index = static_cast<size_t>(first / piece);
    for (size_t i = 0; i < found.size(); ++i) {
      const double w = expected[i], d = w - static_cast<double>(found[i]);
      squares[index] += w * w;
      differences[index] += d * d;
    }
  });
  double square = 0, difference = 0;
  for (size_t i = 0; i < pieces; ++i) {
    square += squares[i];
    difference += differences[i];
  }
  return square > 0 ? std::sqrt(difference / square) : 0;
}

}  // namespace lora
