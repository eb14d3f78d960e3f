// Norms and ranks of an update, against those of the whole matrix.

#include "lora/inspect/delta.h"

#include <ATen/ATen.h>

#include <cmath>

#include "lora/inspect/inspection.h"
#include "lora/terminal/text.h"
#include "tests/catch.h"

using namespace lora;

TEST_CASE("an update's singular values are had from its factors alone") {
  at::manual_seed(3);
  for (const auto& [out, in, rank] : {std::array<int64_t, 3>{40, 24, 4}, {8, 64, 8}, {6, 10, 12}, {1, 5, 1}}) {
    INFO(out << " × " << in << ", rank " << rank);
    const at::Tensor a = at::randn({rank, in}), b = at::randn({out, rank});
    const DeltaStats stats = delta_stats(a, b, 2.5);
    const at::Tensor whole = b.to(at::kDouble).mm(a.to(at::kDouble)) * 2.5;
    const at::Tensor sigma = at::linalg_svdvals(whole), p = sigma / sigma.sum();
    CHECK(std::abs(stats.norm - whole.norm().item<double>()) < 1e-9 * stats.norm);
    CHECK(std::abs(stats.largest - sigma[0].item<double>()) < 1e-9 * stats.norm);
    const double entropy = -(p * at::where(p > 1e-15, p, at::ones_like(p)).log()).sum().item<double>();
    CHECK(std::abs(stats.effective_rank - std::exp(entropy)) < 1e-6);
    const at::Tensor energy = sigma.square().cumsum(0) / sigma.square().sum();
    CHECK(stats.rank_99 == (energy < 0.99).sum().item<int64_t>() + 1);
  }
}

TEST_CASE("equal singular values make the effective rank the rank, and one makes it 1") {
  const at::Tensor eye = at::eye(5);
  CHECK(std::abs(delta_stats(eye, eye, 3).effective_rank - 5) < 1e-9);
  CHECK(delta_stats(eye, eye, 3).rank_99 == 5);
  const at::Tensor one = at::ones({5, 5});
  CHECK(std::abs(delta_stats(one, one, 1).effective_rank - 1) < 1e-6);
  CHECK(delta_stats(one, one, 1).rank_99 == 1);
  const DeltaStats none = delta_stats(one, at::zeros({5, 5}), 1);
  CHECK(none.norm == 0);
  CHECK(none.effective_rank == 0);
  CHECK(none.rank_99 == 0);
}

TEST_CASE("values that are no numbers are counted beside the others") {
  at::Tensor t = at::ones({3, 4}, at::kBFloat16);
  t[0][1] = NAN;
  t[2][3] = -INFINITY;
  t[1][1] = -2;
  const ValueStats stats = value_stats(t);
  CHECK(stats.nans == 1);
  CHECK(stats.infinities == 1);
  CHECK(stats.largest == 2);
  CHECK(std::abs(stats.norm - std::sqrt(13.0)) < 1e-6);
  CHECK_FALSE(stats.all_zero());
  CHECK(value_stats(at::zeros({2, 2})).all_zero());
}

TEST_CASE("a curve is drawn from its lowest to its highest mean") {
  CHECK(sparkline({3, 2, 1, 0}, 4) == "█▆▃▁");
  CHECK(sparkline({1, 1, 1}, 10) == "▁▁▁");
  CHECK(sparkline({0, 0, 7, 7}, 2) == "▁█");
  CHECK(sparkline({0, NAN, 1}, 3) == "▁!█");
  CHECK(sparkline({}, 5).empty());
}
