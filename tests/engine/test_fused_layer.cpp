// A fused layer on each table of operations, against the same layer on ATen's table in double precision: the output and
// the gradients of x and of every trained tensor.

#include <ATen/ATen.h>

#include "models/engine/fused_layer.h"
#include "models/engine/operations.h"
#include "tests/catch.h"
#include "tests/compare.h"

using namespace lora;
using namespace lora::test;

namespace {

struct LayerShape {
  HeadLayout layout;
  int64_t hidden, inner, rotated;  // rotated: of a head's dim
  std::vector<int64_t> lengths;

  int64_t tokens() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }
};

// Multiples of 32, whose products have the adapters folded in, and sizes that are not.
const LayerShape kWhole{{4, 2, 16}, 64, 96, 16, {1, 40, 23}};
const LayerShape kOdd{{3, 1, 12}, 40, 44, 8, {5, 1, 31}};

struct Variation {
  std::string name;
  bool adapters = true, magnitudes = false, starts = false, packed = false, trains_all = false, gemma = false;
  double dropout = 0;
};

const Variation kVariations[] = {
    {.name = "LoRA"},
    {.name = "LoRA with dropout", .dropout = 0.3},
    {.name = "DoRA", .magnitudes = true},
    {.name = "DoRA with dropout", .magnitudes = true, .dropout = 0.3},
    {.name = "LoRA with a frozen start", .starts = true},
    {.name = "DoRA on packed weights", .magnitudes = true, .packed = true},
    {.name = "full fine-tuning", .adapters = false, .trains_all = true},
    {.name = "LoRA on a layer of every norm, with GELU, a window and a soft cap", .gemma = true},
    {.name = "full fine-tuning of such a layer", .adapters = false, .trains_all = true, .gemma = true},
};

// A packed weight that is a tensor.
class Packed final : public PackedWeight {
 public:
  explicit Packed(at::Tensor matrix) : matrix_(std::move(matrix)) {}
  int64_t out_features() const override { return matrix_.size(0); }
  int64_t in_features() const override { return matrix_.size(1); }
  at::ScalarType dtype() const override { return matrix_.scalar_type(); }
  at::Device device() const override { return matrix_.device(); }
  void unpack(at::Tensor& to) const override { to.copy_(matrix_); }

 private:
  at::Tensor matrix_;
};

// The same values for each dtype and device: those that bfloat16 has.
struct Source {
  at::ScalarType dtype;
  at::Device device = at::kCPU;

  at::Tensor random(at::IntArrayRef sizes, double scale, bool trained, bool adapter = false) const {
    const at::Tensor values = (at::randn(sizes) * scale).to(at::kBFloat16);
    return values.to(device, adapter ? wide_dtype(dtype) : dtype).requires_grad_(trained);
  }
};

std::vector<LinearParts> projections(const Source& source, const Variation& v, const std::vector<int64_t>& widths,
                                     int64_t in) {
  std::vector<LinearParts> all;
  int64_t rank = 4;
  for (const int64_t out : widths) {
    LinearParts part{.scaling = 0.5, .dropout = v.dropout};
    const double scale = 1 / std::sqrt(static_cast<double>(in));
    const at::Tensor weight = source.random({out, in}, scale, v.trains_all && !v.packed);
    part.weight = v.packed ? WeightHandle(std::make_shared<Packed>(weight)) : WeightHandle(weight);
    part.bias = source.random({out}, 0.1, v.trains_all);
    if (v.adapters) {
      part.lora_A = source.random({rank, in}, scale, true, true);
      part.lora_B = source.random({out, rank}, 0.5, true, true);
      rank += 14;  // past a block
    }
    if (v.starts) {
      part.start_A = source.random({3, in}, scale, false, true);
      part.start_B = source.random({out, 3}, 0.5, false, true);
    }
    if (v.magnitudes) {
      part.row_norm = source.random({out}, 0.1, false, true).square() + 1;
      part.magnitude = (source.random({out}, 0.1, false, true) + 1).requires_grad_(true);
    }
    all.push_back(part);
  }
  return all;
}

FusedLayerParts parts_of(const Source& source, const LayerShape& shape, const Variation& v) {
  const auto& [layout, hidden, inner, rotated, lengths] = shape;
  const int64_t q = layout.heads * layout.dim, kv = layout.kv_heads * layout.dim;
  FusedLayerParts parts;
  parts.qkv = projections(source, v, {q, kv, kv}, hidden);
  parts.o = projections(source, v, {hidden}, q);
  parts.gate_up = projections(source, v, {inner, inner}, hidden);
  parts.down = projections(source, v, {hidden}, inner);
  const auto norm = [&](int64_t size) { return source.random({size}, 0.3, v.trains_all); };
  parts.before_attention = norm(hidden);
  parts.before_mlp = norm(hidden);
  parts.norms_multiply_by_one_plus = true;
  parts.eps = 1e-5;
  parts.layout = layout;
  parts.scores = {.scale = 1 / std::sqrt(static_cast<double>(layout.dim))};
  if (v.gemma) {
    parts.after_attention = norm(hidden);
    parts.after_mlp = norm(hidden);
    parts.q_norm = norm(layout.dim);
    parts.k_norm = norm(layout.dim);
    parts.scores.softcap = 3;
    parts.scores.window = 9;
    parts.residual_scale = 0.7;
    parts.gelu = true;
  }
  return parts;
}

std::vector<at::Tensor> trained_tensors(const FusedLayerParts& parts) {
  std::vector<at::Tensor> all;
  const auto add = [&](const at::Tensor& t) {
    if (t.defined() && t.requires_grad()) all.push_back(t);
  };
  for (const auto* group : {&parts.qkv, &parts.o, &parts.gate_up, &parts.down}) {
    for (const LinearParts& part : *group) {
      for (const auto* t : {&part.weight.dense(), &part.bias, &part.lora_A, &part.lora_B, &part.magnitude}) add(*t);
    }
  }
  for (const auto* t : {&parts.before_attention, &parts.after_attention, &parts.before_mlp, &parts.after_mlp,
                        &parts.q_norm, &parts.k_norm}) {
    add(*t);
  }
  return all;
}

// The output, and the gradients of x and of the trained tensors.
std::vector<at::Tensor> results(const Operations& operations, const Source& source, const LayerShape& shape,
                                const Variation& variation, Recompute recompute) {
  at::manual_seed(21);  // of the values, and of the dropout keys
  const FusedLayerParts parts = parts_of(source, shape, variation);
  const int64_t tokens = shape.tokens();
  at::Tensor x = source.random({tokens, shape.hidden}, 1, true);
  const at::Tensor dy = source.random({tokens, shape.hidden}, 1, false);
  const at::Tensor angles = at::randn({tokens, shape.rotated / 2}).to(source.device);
  FusedBatch batch{make_sequences(shape.lengths, {}, source.device), angles.cos(), angles.sin()};
  batch.plan.recompute = recompute;
  const at::Tensor y = fused_layer(x, parts, batch, operations);
  y.backward(dy);
  std::vector<at::Tensor> all = {y, x.grad()};
  for (const at::Tensor& t : trained_tensors(parts)) all.push_back(t.grad());
  return all;
}

}  // namespace

TEST_CASE("a fused layer and its gradients are the same on every table of operations") {
  for (const Variation& variation : kVariations) {
    for (const LayerShape& shape : {kWhole, kOdd}) {
      INFO(variation.name << ", " << shape.tokens() << " tokens");
      const Source exact{at::kDouble};
      const auto expected = results(aten_operations(), exact, shape, variation, Recompute::kNone);
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const double bound = dtype == at::kFloat ? 2e-5 : 5e-2;
        for (const Operations* operations : {operations_for(at::kCPU, dtype), &aten_operations()}) {
          for (const auto recompute : {Recompute::kNone, Recompute::kGateUp, Recompute::kLayer}) {
            INFO((operations == &aten_operations() ? "ATen's, " : "the CPU's, ")
                 << c10::toString(dtype) << ", recompute " << static_cast<int>(recompute));
            const auto found = results(*operations, {dtype}, shape, variation, recompute);
            REQUIRE(found.size() == expected.size());
            for (size_t i = 0; i < found.size(); ++i) {
              INFO("result " << i);
              CHECK(relative(found[i], expected[i]) < bound);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a fused layer on ATen's table reads no memory itself, so that any device runs it") {
  for (const Variation& variation : kVariations) {
    INFO(variation.name);
    const auto found = results(aten_operations(), {at::kBFloat16, at::kMeta}, kOdd, variation, Recompute::kLayer);
    for (const at::Tensor& result : found) CHECK(result.is_meta());
  }
}
