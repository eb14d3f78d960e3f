// What a pass costs, where families differ.

#include "lora/training/flops.h"

#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden_families.h"

using namespace lora;
using namespace lora::test;

TEST_CASE("a window takes pairs from attention, and nothing from a sample within it") {
  const auto open = load_pretrained(golden_family("smollm3"), "auto");
  const auto slid = load_pretrained(golden_family("mistral_window"), "auto");
  const double within = pass_flops(*slid, {7}, 7), pair = 12.0 * 4 * 4 * 2;  // 12 a pair and dimension, two layers
  CHECK(pass_flops(*slid, {7, 7}, 14) == Approx(2 * within));
  // Of 24 tokens the 17 last see 7 each, and the others 1 to 7.
  const double linear = (within - pair * 28) / 7;
  CHECK(pass_flops(*slid, {24}, 24) == Approx(24 * linear + pair * (17 * 7 + 28)));
  CHECK(pass_flops(*open, {24}, 24) - 2 * pass_flops(*open, {12}, 12) == Approx(12.0 * 4 * 4 * 3 * (300 - 2 * 78)));
}

TEST_CASE("one projection for q, k and v costs what the three of them do") {
  const auto joined = load_pretrained(golden_family("phi3"), "auto");
  const auto apart = load_pretrained(golden_family("mistral_window"), "auto");  // of the same sizes
  CHECK(pass_flops(*joined, {7}, 7) == pass_flops(*apart, {7}, 7));
}
