// Exports of every model family: the files compute what the adapted model does.

#include <ATen/ATen.h>
#include <torch/script.h>

#include "lora/adapters/inject.h"
#include "lora/export/export.h"
#include "lora/inference/generation.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/export/trained_model.h"
#include "tests/golden_families.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;

namespace {

at::Tensor ids_of(int64_t rows, int64_t length) {
  return (at::arange(rows * length, at::kLong) * 7 + 3).remainder(100).view({rows, length});
}

}  // namespace

TEST_CASE("the TorchScript file computes every family, whatever batch and length") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const TemporaryDirectory directory;
      const Trained family(golden_family(name));
      export_as("torchscript", family.source(), directory / "merged.pt");
      torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string());
      for (const int64_t length : {1, 9, 30}) {
        const at::Tensor ids = ids_of(3, length);
        CHECK(relative_to_largest(loaded.forward({ids}).toTensor(), family.logits(ids)) < 1e-5);
      }
      const std::vector<std::vector<int64_t>> prompts = {{5, 6, 7, 8, 9, 10, 11, 12, 13},
                                                         {14, 15, 16, 17, 18, 19, 20, 21, 22}};
      const auto wanted = generate(*family.model, prompts, {.max_new_tokens = 10});
      const at::Tensor found =
          loaded.get_method("generate")({at::arange(5, 23, at::kLong).view({2, 9}), 10, 0.0, 1.0, -1}).toTensor();
      for (int64_t i = 0; i < 2; ++i) {
        CHECK(found[i].slice(0, 9).equal(at::tensor(wanted[static_cast<size_t>(i)], at::kLong)));
      }
    }
  }
}

TEST_CASE("the TorchScript file of a bfloat16 model rounds where the model does") {
  for (const std::string name : {"gemma2", "gemma3", "olmo2", "granite"}) {
    DYNAMIC_SECTION(name) {
      const TemporaryDirectory directory;
      const auto model = load_pretrained(golden_family(name), "bfloat16");
      AdaptedModel bare;
      bare.model = model;
      export_as("torchscript", {bare, golden_family(name), {}}, directory / "merged.pt");
      torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string());
      const at::NoGradGuard no_grad;
      // Fused layers keep float32 between some of the steps.
      const at::Tensor wanted = model->forward(ids_of(2, 9), {.fused = false});
      const at::Tensor found = loaded.forward({ids_of(2, 9)}).toTensor();
      CHECK(found.scalar_type() == at::kBFloat16);
      CHECK(relative_to_largest(found.to(at::kFloat), wanted.to(at::kFloat)) < 0.02);
    }
  }
}

TEST_CASE("in TorchScript too a text that grows over LongRoPE's original context is refused") {
  const TemporaryDirectory directory;
  const Trained family(golden_family("phi3_longrope"));
  export_as("torchscript", family.source(), directory / "merged.pt");
  torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string());
  CHECK_THROWS_WITH(loaded.get_method("generate")({ids_of(1, 9), 20, 0.0, 1.0, -1}),
                    Catch::Matchers::Contains("grows beyond 20 tokens"));
}

TEST_CASE("the Hugging Face directory of every family is the merged model under its own names") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const TemporaryDirectory directory;
      const Trained family(golden_family(name));
      export_as("huggingface", family.source(), directory / "merged");
      const auto again = load_pretrained(directory / "merged", "auto");
      const at::NoGradGuard no_grad;
      CHECK(relative_to_largest(again->forward(ids_of(2, 30)), family.logits(ids_of(2, 30))) < 1e-5);
      std::set<std::string> found, wanted;
      const SafetensorsFile written(directory / "merged" / "model.safetensors");
      for (const auto& [key, entry] : written.entries()) found.insert(key);
      const SafetensorsFile base(family.directory / "model.safetensors");
      for (const auto& [key, entry] : base.entries()) wanted.insert(key);
      CHECK(found == wanted);
    }
  }
}
