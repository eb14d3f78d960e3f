// GGUF files as lora-inspect tells of them, sound and damaged.

#include <ATen/ATen.h>

#include <random>

#include "lora/inspect/inspect.h"
#include "models/base/error.h"
#include "models/io/gguf.h"
#include "tests/catch.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Json = nlohmann::ordered_json;

namespace {

GgufTensor stored(const std::string& name, const at::Tensor& tensor) {
  return {{name, tensor.scalar_type(), tensor.sizes().vec(), [tensor] { return tensor; }}, GgmlType::kF32};
}

}  // namespace

TEST_CASE("a GGUF adapter is told by its metadata and by what its pairs add") {
  const TemporaryDirectory directory;
  const at::Tensor a = at::ones({2, 8}), b = at::eye(6).narrow(1, 0, 2).contiguous();
  write_gguf(directory / "a.gguf",
             {{"general.architecture", std::string("llama")},
              {"general.type", std::string("adapter")},
              {"adapter.lora.alpha", 4.0f}},
             {stored("blk.0.attn_q.weight.lora_a", a), stored("blk.0.attn_q.weight.lora_b", b),
              stored("blk.0.attn_v.weight.lora_a", a)});
  const Json found = Json::parse(to_json(inspect(directory / "a.gguf", {.each = true})));
  CHECK(found["kind"] == "gguf");
  CHECK(found["tensors"] == 3);
  REQUIRE(found["adapted"].size() == 1);
  CHECK(found["adapted"][0]["scaling"] == 2.0);
  CHECK(found["adapted"][0]["shape"] == Json({6, 8}));
  CHECK(std::abs(found["adapted"][0]["norm"].get<double>() - 8) < 1e-9);  // 2 · √16 ones
  REQUIRE(found["odd"].size() == 1);
  CHECK(found["odd"][0] == "'blk.0.attn_v.weight' has no lora_b");

  // Whatever the bytes are.
  std::ifstream in(directory / "a.gguf", std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  std::mt19937 random(5);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string damaged = bytes;
    for (int j = 0; j < 3; ++j) damaged[4 + random() % (bytes.size() - 4)] = static_cast<char>(random());
    if (i % 5 == 0) damaged.resize(4 + random() % (bytes.size() - 4));
    std::ofstream(directory / "b.gguf", std::ios::binary) << damaged;
    try {
      to_text(inspect(directory / "b.gguf", {}), 64);
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 20);
}
