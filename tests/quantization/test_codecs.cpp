// NF4 and int8: the bits of bitsandbytes, bounds on what is lost, and shapes that no block divides.

#include <ATen/ATen.h>

#include "lora/quantization/int8.h"
#include "lora/quantization/nf4.h"
#include "models/engine/cpu/quantized.h"
#include "models/io/safetensors.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/engine/every_target.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;

namespace {

at::Tensor unpacked(const PackedWeight& weight, at::ScalarType dtype) {
  at::Tensor to = at::empty({weight.out_features(), weight.in_features()}, dtype);
  weight.unpack(to);
  return to;
}

at::Tensor part(const QuantizedWeight& weight, const std::string& wanted) {
  for (const auto& [name, tensor] : weight.tensors()) {
    if (name == wanted) return tensor;
  }
  FAIL("no part " << wanted);
  return {};
}

// The largest magnitude of each value's block of 64.
at::Tensor block_scales(const at::Tensor& weight) {
  const int64_t n = weight.numel(), blocks = (n + 63) / 64;
  at::Tensor padded = at::zeros({blocks * 64}, at::kFloat);
  padded.narrow(0, 0, n).copy_(weight.reshape({n}));
  return padded.view({blocks, 64})
      .abs()
      .amax(1, true)
      .expand({blocks, 64})
      .reshape({-1})
      .narrow(0, 0, n)
      .view_as(weight);
}

}  // namespace

TEST_CASE("NF4 has the codes, scales and values of bitsandbytes") {
  const SafetensorsFile golden(source_dir() / "tests/golden/quantization.safetensors");
  const at::Tensor weight = golden.tensor("weight");
  on_every_target([&] {
    const Nf4Weight plain(weight, at::kFloat, false), nested(weight, at::kFloat, true);
    CHECK(part(plain, "weight").equal(golden.tensor("nf4_codes")));
    CHECK(part(plain, "absmax").equal(golden.tensor("nf4_absmax")));
    CHECK(unpacked(plain, at::kFloat).narrow(0, 0, 5).equal(golden.tensor("nf4_values")));
    CHECK(part(nested, "weight").equal(golden.tensor("nf4_codes")));
    CHECK(part(nested, "absmax").equal(golden.tensor("nf4_nested_codes")));
    CHECK(part(nested, "nested_absmax").equal(golden.tensor("nf4_nested_absmax")));
    CHECK(part(nested, "offset").item<float>() == golden.tensor("nf4_offset").item<float>());
    CHECK(unpacked(nested, at::kFloat).narrow(0, 0, 5).equal(golden.tensor("nf4_nested_values")));
  });
  const at::Tensor levels = golden.tensor("dynamic_levels");
  for (size_t i = 0; i < 256; ++i) CHECK(dynamic_levels()[i] == levels[static_cast<int64_t>(i)].item<float>());
}

TEST_CASE("int8 has the codes, scales and values of bitsandbytes") {
  const SafetensorsFile golden(source_dir() / "tests/golden/quantization.safetensors");
  on_every_target([&] {
    const Int8Weight weight(golden.tensor("weight").narrow(0, 0, 5), at::kFloat);
    CHECK(part(weight, "weight").equal(golden.tensor("int8_codes")));
    CHECK(part(weight, "absmax").equal(golden.tensor("int8_absmax")));
    CHECK(unpacked(weight, at::kFloat).equal(golden.tensor("int8_values")));
  });
}

TEST_CASE("whatever the shape, values come back within half a gap of levels, and a second time as they are") {
  at::manual_seed(1);
  const std::pair<int64_t, int64_t> shapes[] = {{1, 1},   {1, 63},    {3, 64},   {7, 65},
                                                {2, 127}, {129, 128}, {31, 577}, {300, 61}};
  for (const auto& [out, in] : shapes) {
    INFO(out << " x " << in);
    const at::Tensor weight = at::randn({out, in}) * at::rand({out, 1}) * 3;
    on_every_target([&] {
      const Nf4Weight nf4(weight, at::kFloat, false);
      const at::Tensor values = unpacked(nf4, at::kFloat);
      const double half_gap = (kernels::kNf4Levels[1] - kernels::kNf4Levels[0]) / 2;
      CHECK(((values - weight).abs() <= block_scales(weight) * half_gap * 1.000001).all().item<bool>());
      CHECK(unpacked(Nf4Weight(values, at::kFloat, false), at::kFloat).equal(values));
      CHECK(unpacked(nf4, at::kBFloat16).equal(values.to(at::kBFloat16)));
      CHECK(nf4.relative_error() == Approx((values - weight).norm().item<double>() / weight.norm().item<double>()));

      const Nf4Weight nested(weight, at::kFloat, true);
      CHECK(part(nested, "weight").equal(part(nf4, "weight")));
      // A scale is within half of the widest gap of its own levels, relative to the largest of its block of 256.
      const at::Tensor moved = (unpacked(nested, at::kFloat) - values).abs();
      CHECK(largest(moved) <= 0.0157 / 2 * largest(weight) + 1e-6);

      const Int8Weight int8(weight, at::kFloat);
      const at::Tensor rows = unpacked(int8, at::kFloat);
      CHECK(((rows - weight).abs() <= weight.abs().amax(1, true) / 254 * 1.0001).all().item<bool>());
      CHECK(part(Int8Weight(rows, at::kFloat), "weight").equal(part(int8, "weight")));
      CHECK(unpacked(int8, at::kBFloat16).equal(rows.to(at::kBFloat16)));
    });
  }
}

TEST_CASE("zeros stay zeros, and half precision is read as it is") {
  const at::Tensor zeros = at::zeros({5, 70});
  CHECK(largest(unpacked(Nf4Weight(zeros, at::kFloat, true), at::kFloat)) == 0);
  CHECK(largest(unpacked(Int8Weight(zeros, at::kFloat), at::kFloat)) == 0);
  CHECK(Nf4Weight(zeros, at::kFloat, true).relative_error() == 0);
  at::manual_seed(2);
  for (const auto dtype : {at::kHalf, at::kBFloat16}) {
    const at::Tensor half = at::randn({9, 33}).to(dtype), whole = half.to(at::kFloat);
    CHECK(part(Nf4Weight(half, at::kFloat, true), "weight").equal(part(Nf4Weight(whole, at::kFloat, true), "weight")));
    CHECK(part(Int8Weight(half, at::kFloat), "weight").equal(part(Int8Weight(whole, at::kFloat), "weight")));
  }
}

TEST_CASE("a value that is not finite is refused wherever it stands") {
  for (const double bad : {double(INFINITY), -double(INFINITY), double(NAN)}) {
    for (const int64_t at : {0, 63, 64, 200, 3 * 71 - 1}) {
      at::Tensor weight = at::ones({3, 71});
      weight.view(-1)[at] = bad;
      on_every_target([&] {
        CHECK_THROWS_AS(Nf4Weight(weight, at::kFloat, true), NotFinite);
        CHECK_THROWS_AS(Int8Weight(weight, at::kFloat), NotFinite);
      });
    }
  }
}

TEST_CASE("bytes a parameter are those of the papers") {
  const at::Tensor weight = at::ones({256, 4096});
  const auto bits = [&](const QuantizedWeight& w) {
    return 8.0 * static_cast<double>(w.bytes()) / static_cast<double>(weight.numel());
  };
  CHECK(bits(Nf4Weight(weight, at::kFloat, false)) == Approx(4.5));
  CHECK(bits(Nf4Weight(weight, at::kFloat, true)) == Approx(4 + 8.0 / 64 + 32.0 / (64 * 256)).epsilon(1e-4));
  CHECK(bits(Int8Weight(weight, at::kFloat)) == Approx(8 + 32.0 / 4096));
  // The same on the meta device, which holds none of them.
  const at::Tensor meta = at::empty({256, 4096}, at::TensorOptions(at::kBFloat16).device(at::kMeta));
  CHECK(Nf4Weight(meta, at::kFloat, true).bytes() == Nf4Weight(weight, at::kFloat, true).bytes());
  CHECK(Int8Weight(meta, at::kFloat).bytes() == Int8Weight(weight, at::kFloat).bytes());
}
