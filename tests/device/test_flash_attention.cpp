// Flash attention of a device beside the table's own, and that one which computes something else is not used.

#include <ATen/ATen.h>

#include "models/engine/aten/flash_attention.h"
#include "models/engine/aten/operations.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/device/tested_device.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

TEST_CASE("flash attention equals the table's own, forward and backward", "[any_device]") {
  at::manual_seed(9);
  for (const HeadLayout& layout : {HeadLayout{4, 2, 16}, HeadLayout{3, 1, 32}, HeadLayout{2, 2, 64}}) {
    for (const int64_t window : {0, 1, 9, 500}) {
      for (const auto dtype : {at::kBFloat16, at::kHalf}) {
        INFO(layout.heads << " heads of " << layout.dim << ", window " << window << ", " << c10::toString(dtype));
        const AttentionScores scores{.scale = 0.3, .window = window};
        const std::vector<int64_t> lengths = {1, 40, 7, 130};
        const Sequences sequences = make_sequences(lengths, {}, device);
        const at::Tensor qkv = at::randn({178, layout.width()}).to(device, dtype);
        const at::Tensor dout = at::randn({178, layout.heads * layout.dim}).to(device, dtype);
        const std::string problem = aten::flash_attention_problem(device, dtype, layout, scores);
        if (device.is_cuda() && !problem.empty()) {  // a card before Ampere has none
          WARN("no flash attention: " << problem);
          return;
        }
        REQUIRE(problem.empty());
        REQUIRE(aten::flash_attends(qkv, sequences, layout, scores));
        const AttentionResult own = aten::plain_attention(qkv, sequences, layout, scores);
        const AttentionResult flash = aten_operations().packed_attention(qkv, sequences, layout, scores);
        CHECK(relative(flash.out.cpu(), own.out.cpu()) < 1e-2);
        const at::Tensor expected = aten::plain_attention_backward(qkv, sequences, layout, scores, own, dout);
        const at::Tensor found =
            aten_operations().packed_attention_backward(qkv, sequences, layout, scores, flash, dout);
        CHECK(relative(found.cpu(), expected.cpu()) < 2e-2);
      }
    }
  }
}

TEST_CASE("flash attention is not asked for what it does not compute", "[any_device]") {
  const HeadLayout layout{4, 2, 16};
  const auto problem = [&](at::ScalarType dtype, const HeadLayout& heads, const AttentionScores& scores) {
    return aten::flash_attention_problem(device, dtype, heads, scores);
  };
  CHECK_THAT(problem(at::kFloat, layout, {}), Contains("bfloat16 and float16"));
  CHECK_THAT(problem(at::kBFloat16, layout, {.softcap = 3}), Contains("soft cap"));
  CHECK_THAT(problem(at::kBFloat16, {3, 1, 12}, {}), Contains("a size of 12"));
  // A prompt that two answers share is keys and values alone in the second sequence.
  const Sequences forked = make_sequences({30}, {{.prompt = 10, .second = 20}}, device);
  const at::Tensor qkv = at::zeros({40, layout.width()}, at::TensorOptions(at::kBFloat16).device(device));
  CHECK_FALSE(aten::flash_attends(qkv, forked, layout, {}));
}

TEST_CASE("flash attention that computes something else is found out and not used") {
  const HeadLayout layout{6, 3, 8};  // a shape of this case alone
  break_flash_attention(true);
  const std::string problem = aten::flash_attention_problem(simulated_device(), at::kBFloat16, layout, {});
  break_flash_attention(false);
  CHECK_THAT(problem, Contains("it differs by 0.1"));
  const at::Tensor qkv = at::zeros({4, layout.width()}, at::TensorOptions(at::kBFloat16).device(simulated_device()));
  CHECK_FALSE(aten::flash_attends(qkv, make_sequences({4}, {}, simulated_device()), layout, {}));
}
