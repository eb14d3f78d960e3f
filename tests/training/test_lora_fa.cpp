// LoRA-FA: the numbers of PEFT's optimizer, a frozen A, and files that are plain LoRA.

#include <ATen/ATen.h>

#include "lora/adapters/methods/lora.h"
#include "lora/adapters/peft.h"
#include "models/engine/operations.h"
#include "tests/temporary_directory.h"
#include "tests/training/golden_run.h"

using namespace lora;
using namespace lora::test;

namespace {

std::filesystem::path lora_fa_golden() { return source_dir() / "tests/golden/lora_fa"; }

AdapterConfig lora_fa_adapter() {
  AdapterConfig adapter = read_peft_config(lora_fa_golden() / "start").config;
  adapter.method = "lora_fa";
  adapter.init_from = (lora_fa_golden() / "start").string();
  return adapter;
}

}  // namespace

TEST_CASE("LoRA-FA takes the steps of PEFT's optimizer") {
  const auto expected = read_json(lora_fa_golden() / "expected.json");
  TrainingConfig config = golden_training(expected, static_cast<int64_t>(expected["loss"].size()));
  config.weight_decay = expected["weight_decay"];
  config.adam_epsilon = expected["adam_epsilon"];
  for (const bool fused : {true, false}) {
    config.fused = fused;
    GoldenRun run(expected, lora_fa_adapter(), config);
    for (const double wanted : expected["loss"]) CHECK(std::abs(run.trainer->step().loss - wanted) < 1e-5);
    const SafetensorsFile end(lora_fa_golden() / "end" / "adapter_model.safetensors");
    const auto tensors = trained_tensors(run.adapted);
    CHECK(tensors.size() == end.entries().size());
    for (const auto& [name, tensor] : tensors) {
      CAPTURE(name);
      CHECK(largest_difference(tensor.detach(), end.tensor(name)) < 1e-5);
    }
  }
}

TEST_CASE("LoRA-FA trains B alone, and the layer keeps nothing of its input") {
  const auto expected = read_json(lora_fa_golden() / "expected.json");
  GoldenRun run(expected, lora_fa_adapter(), golden_training(expected, 3));
  GoldenRun lora(expected, read_peft_config(lora_fa_golden() / "start").config, golden_training(expected, 3));
  CHECK(run.adapted.trainable_parameters < lora.adapted.trainable_parameters);
  for (const auto& [path, tensor, role] : trainable_parameters(*run.model)) CHECK(path.ends_with(".lora_B"));

  // What autograd saves of the plain path: the input of A is not among it.
  const auto layer = run.adapted.modules[0].layer;
  at::Tensor x = at::randn({3, layer->in_features()});
  const size_t before = x.use_count();
  const at::Tensor y = layer->forward(x);
  CHECK(y.requires_grad());
  CHECK(x.use_count() == before);
  const at::Tensor with_a = lora.adapted.modules[0].layer->forward(x);
  CHECK(x.use_count() > before);

  for (const AdaptedModule& module : run.adapted.modules)
    CHECK_FALSE(LinearGroup({*module.layer->parts()}, at::kFloat, aten_operations()).reads_input());
}

TEST_CASE("a LoRA-FA adapter on disk is a plain LoRA adapter") {
  const TemporaryDirectory directory;
  const auto expected = read_json(lora_fa_golden() / "expected.json");
  GoldenRun run(expected, lora_fa_adapter(), golden_training(expected, 2));
  run.trainer->step();
  run.trainer->step();
  write_peft(directory.path(), run.adapted, "base");
  AdapterConfig read = read_peft_config(directory.path()).config;
  CHECK(read.method == "lora");
  read.init_from = directory.path().string();
  GoldenRun again(expected, read, golden_training(expected, 2));
  const auto wanted = trained_tensors(run.adapted), found = trained_tensors(again.adapted);
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i].second.equal(wanted[i].second));
}
