#include "lora/training/gradient_sums.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "lora/adapters/inject.h"
#include "models/base/numbers.h"

namespace lora {

SumOrder sum_order_of(const LlamaForCausalLM& model) {
  const bool has_adapter = std::ranges::any_of(trainable_parameters(model), [](const TrainedParameter& one) {
    return one.role != ParameterRole::kBase && one.role != ParameterRole::kHead;
  });
  return has_adapter ? SumOrder::kTree : SumOrder::kPlain;
}

bool GradientSums::joins(const PartialSum& left, const PartialSum& right) const {
  if (order_ == SumOrder::kPlain) return true;
  int64_t first = 0, end = passes_;
  while (end - first > 1) {
    const int64_t middle = first + (end - first) / 2;
    if (first == left.first && end == right.end) return left.end == middle;
    if (right.end <= middle) {
      end = middle;
    } else if (left.first >= middle) {
      first = middle;
    } else {
      return false;
    }
  }
  return false;
}

void GradientSums::add(PartialSum next) {
  if (next.first == next.end) return;
  holds_last_ = !next.tensors.empty();
  while (!sums_.empty() && joins(sums_.back(), next)) {
    PartialSum left = std::move(sums_.back());
    sums_.pop_back();
    left.end = next.end;
    if (left.tensors.empty()) {
      left.tensors = std::move(next.tensors);
    } else if (!next.tensors.empty()) {
      for (size_t i = 0; i < left.tensors.size(); ++i) left.tensors[i].add_(next.tensors[i]);
      holds_last_ = false;
    }
    next = std::move(left);
  }
  sums_.push_back(std::move(next));
}

void GradientSums::detach() {
  if (!holds_last_) return;
  for (at::Tensor& tensor : sums_.back().tensors) tensor = tensor.clone();
  holds_last_ = false;
}

int64_t held_sums(int64_t passes) {
  return passes < 2 ? 0 : static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(passes - 1)));
}

namespace {

struct PartialRange {
  int64_t first, end;
  bool present;
};

// What sums each replica has, by rank.
std::vector<std::vector<PartialRange>> all_ranges(Replicas& replicas, const GradientSums& own) {
  nlohmann::json mine = nlohmann::json::array();
  for (const PartialSum& sum : own.sums()) mine.push_back({sum.first, sum.end, !sum.tensors.empty()});
  std::vector<std::vector<PartialRange>> all;
  for (const nlohmann::json& one : gather_values(replicas, mine)) {
    std::vector<PartialRange>& ranges = all.emplace_back();
    for (const nlohmann::json& range : one) ranges.push_back({range[0], range[1], range[2]});
  }
  return all;
}

int64_t present(const std::vector<PartialRange>& ranges) {
  return std::ranges::count(ranges, true, &PartialRange::present);
}

// Adds up one tensor, in slices so that a large one needs no second copy of its size.
class ShardedSum {
 public:
  ShardedSum(Replicas& replicas, const GradientSums& own)
      : replicas_(replicas), own_(own), ranges_(all_ranges(replicas, own)) {}

  void into(const at::Tensor& gradient, size_t index) {
    constexpr int64_t kSlice = 1 << 24;  // floats, 64 MiB
    for (int64_t first = 0; first < gradient.numel(); first += kSlice) {
      add_slice(gradient, index, first, std::min(kSlice, gradient.numel() - first));
    }
  }

 private:
  void add_slice(const at::Tensor& gradient, size_t index, int64_t first, int64_t length) {
    const int64_t count = replicas_.count();
    const auto shard = [&](int64_t rank) {
      return Block{first + rank * length / count, first + (rank + 1) * length / count};
    };
    const auto size = [&](int64_t rank) { return shard(rank).end - shard(rank).first; };
    const auto part = [&](const at::Tensor& tensor, int64_t rank) {
      return tensor.narrow(0, shard(rank).first, size(rank));
    };
    std::vector<at::Tensor> to;
    std::vector<int64_t> sizes;
    for (int64_t rank = 0; rank < count; ++rank) {
      std::vector<at::Tensor> parts = {at::empty({0}, at::kFloat)};
      for (const PartialSum& sum : own_.sums()) {
        if (!sum.tensors.empty()) parts.push_back(part(sum.tensors[index], rank).cpu());
      }
      to.push_back(at::cat(parts));
      sizes.push_back(present(ranges_[as_size(rank)]) * size(replicas_.rank()));
    }
    const at::Tensor sum = added(replicas_.exchange(to, sizes), size(replicas_.rank()));
    for (int64_t rank = 0; rank < count; ++rank) sizes[as_size(rank)] = size(rank);
    const std::vector<at::Tensor> shards = replicas_.exchange(std::vector<at::Tensor>(as_size(count), sum), sizes);
    for (int64_t rank = 0; rank < count; ++rank) part(gradient, rank).copy_(shards[as_size(rank)]);
  }

  // The sum over all passes of a shard of `length`, from what each replica has sent.
  at::Tensor added(const std::vector<at::Tensor>& from, int64_t length) const {
    GradientSums all(own_.passes(), own_.order());
    for (size_t rank = 0; rank < ranges_.size(); ++rank) {
      int64_t at = 0;
      for (const PartialRange& range : ranges_[rank]) {
        PartialSum sum{range.first, range.end};
        if (range.present) sum.tensors = {from[rank].narrow(0, length * at++, length)};
        all.add(std::move(sum));
      }
    }
    const std::vector<at::Tensor>& whole = all.sums().front().tensors;
    return whole.empty() ? at::zeros({length}, at::kFloat) : whole.front();
  }

  Replicas& replicas_;
  const GradientSums& own_;
  std::vector<std::vector<PartialRange>> ranges_;
};

}  // namespace

void sum_over(Replicas& replicas, const GradientSums& own, const std::vector<at::Tensor>& gradients) {
  const at::NoGradGuard no_grad;
  if (replicas.count() > 1) {
    ShardedSum sum(replicas, own);
    for (size_t i = 0; i < gradients.size(); ++i) sum.into(gradients[i], i);
    return;
  }
  const std::vector<at::Tensor>& whole = own.sums().front().tensors;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const at::Tensor& gradient = gradients[i];
    if (whole.empty()) {
      gradient.zero_();
    } else if (!whole[i].is_same(gradient)) {
      gradient.copy_(whole[i]);
    }
  }
}

}  // namespace lora
