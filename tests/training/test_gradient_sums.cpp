// The order in which a step's gradients are added.

#include "lora/training/gradient_sums.h"

#include <map>
#include <optional>

#include "tests/catch.h"
#include "tests/training/meeting.h"

using namespace lora;
using namespace lora::test;

namespace {

// Gradients whose sum depends on the order: of many magnitudes and both signs. None for some passes of a step.
std::vector<std::optional<at::Tensor>> some_gradients(int64_t passes, int64_t length) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  std::vector<std::optional<at::Tensor>> gradients;
  for (int64_t i = 0; i < passes; ++i) {
    const at::Tensor size = at::randn({length}, generator).mul_(6).exp_();
    gradients.emplace_back(at::randn({length}, generator) * size);
    if (i % 5 == 3 || (passes == 12 && i >= 6 && i < 9)) gradients.back().reset();
  }
  return gradients;
}

// The tree as its definition says.
std::optional<at::Tensor> tree_sum(const std::vector<std::optional<at::Tensor>>& leaves, int64_t first, int64_t end) {
  if (end - first == 1) return leaves[static_cast<size_t>(first)];
  const int64_t middle = first + (end - first) / 2;
  const auto left = tree_sum(leaves, first, middle), right = tree_sum(leaves, middle, end);
  if (!left || !right) return left ? left : right;
  return *left + *right;
}

// What a replica makes of its block, as a trainer does: one buffer takes every gradient.
at::Tensor summed(Replicas& replicas, const std::vector<std::optional<at::Tensor>>& leaves, int64_t length,
                  size_t* held = nullptr) {
  GradientSums sums(std::ssize(leaves), SumOrder::kTree);
  const Block own = own_block(std::ssize(leaves), replicas);
  at::Tensor buffer = at::zeros({length});
  for (int64_t i = own.first; i < own.end; ++i) {
    const auto& leaf = leaves[static_cast<size_t>(i)];
    if (leaf) buffer.copy_(*leaf);
    sums.add({i, i + 1, leaf ? std::vector<at::Tensor>{buffer} : std::vector<at::Tensor>{}});
    if (i + 1 < own.end) sums.detach();
    if (held && i + 1 < own.end) *held = std::max(*held, sums.sums().size());
  }
  sum_over(replicas, sums, {buffer});
  return buffer;
}

}  // namespace

TEST_CASE("one process adds along the tree, and holds no more sums than it says") {
  for (int64_t passes = 1; passes <= 40; ++passes) {
    const auto leaves = some_gradients(passes, 50);
    size_t held = 0;
    const at::Tensor sum = summed(alone(), leaves, 50, &held);
    CAPTURE(passes, held);
    CHECK(at::equal(sum, *tree_sum(leaves, 0, passes)));
    CHECK(static_cast<int64_t>(held) <= held_sums(passes));
  }
}

TEST_CASE("the order matters: left to right gives other bits than the tree") {
  const auto leaves = some_gradients(16, 50);
  at::Tensor plain = at::zeros({50});
  for (const auto& leaf : leaves) plain += leaf.value_or(at::zeros({50}));
  CHECK_FALSE(at::equal(plain, *tree_sum(leaves, 0, 16)));
}

TEST_CASE("any number of processes gives the bits of one, also where their passes differ in number") {
  for (const int64_t passes : {1, 2, 3, 7, 8, 12, 16, 23}) {
    const auto leaves = some_gradients(passes, 51);
    const at::Tensor expected = *tree_sum(leaves, 0, passes);
    for (const int64_t count : {2, 3, 4, 5, 8}) {
      std::vector<at::Tensor> sums(static_cast<size_t>(count));
      run_together(count, [&](const std::shared_ptr<Replicas>& replicas) {
        sums[static_cast<size_t>(replicas->rank())] = summed(*replicas, leaves, 51);
      });
      CAPTURE(passes, count);
      for (const at::Tensor& sum : sums) CHECK(at::equal(sum, expected));
    }
  }
}

TEST_CASE("a step without any gradient has a gradient of zero, on any number of processes") {
  const std::vector<std::optional<at::Tensor>> leaves(4);
  CHECK(at::equal(summed(alone(), leaves, 3), at::zeros({3})));
  run_together(2, [&](const std::shared_ptr<Replicas>& replicas) {
    if (!at::equal(summed(*replicas, leaves, 3), at::zeros({3}))) std::abort();
  });
}

TEST_CASE("a tensor of several slices is added as a small one is") {
  constexpr int64_t kLength = (1 << 24) + 5;
  const at::Tensor a = at::arange(kLength, at::kFloat), b = at::full({kLength}, 0.25);
  at::Tensor sums[2];
  run_together(2, [&](const std::shared_ptr<Replicas>& replicas) {
    GradientSums own(2, SumOrder::kTree);
    const int64_t rank = replicas->rank();
    at::Tensor buffer = rank == 0 ? a.clone() : b.clone();
    own.add({rank, rank + 1, {buffer}});
    sum_over(*replicas, own, {buffer});
    sums[rank] = buffer;
  });
  CHECK(at::equal(sums[0], a + b));
  CHECK(at::equal(sums[1], a + b));
}

TEST_CASE("the plain order holds one sum a process, added in the order of ranks") {
  const std::vector<float> values = {1e8F, 1.0F, -1e8F, 1.0F};
  at::Tensor result[2];
  run_together(2, [&](const std::shared_ptr<Replicas>& replicas) {
    const auto rank = static_cast<size_t>(replicas->rank());
    GradientSums own(4, SumOrder::kPlain);
    at::Tensor sum = at::full({1}, values[2 * rank]) + values[2 * rank + 1];
    own.add({2 * replicas->rank(), 2 * replicas->rank() + 2, {sum}});
    sum_over(*replicas, own, {sum});
    result[rank] = sum;
  });
  const float expected = (values[0] + values[1]) + (values[2] + values[3]);
  for (const at::Tensor& one : result) CHECK(one.item<float>() == expected);
}
