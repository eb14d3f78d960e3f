// Exports: the TorchScript file gives the trained model's logits for any batch and length, and the Hugging Face
// directory is a model again.

#include "lora/export/export.h"

#include <ATen/ATen.h>
#include <torch/script.h>

#include "lora/adapters/peft.h"
#include "lora/inference/generation.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/export/trained_model.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

TEST_CASE("the TorchScript file computes the trained model, whatever batch and length") {
  for (const char* name : {"default", "tied", "biases", "head_dim", "rope_linear", "rope_llama3", "qwen2"}) {
    DYNAMIC_SECTION(name) {
      const TemporaryDirectory directory;
      const Trained trained(name);
      const auto before = trained.logits(at::arange(3, 13, at::kLong).unsqueeze(0));
      export_as("torchscript", trained.source(), directory / "merged.pt");
      torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string());
      for (const int64_t length : {1, 2, 40}) {
        const at::Tensor ids = (at::arange(3 * length, at::kLong) * 7 + 3).remainder(48).view({3, length});
        CHECK(relative_to_largest(loaded.forward({ids}).toTensor(), trained.logits(ids)) < 1e-5);
      }
      CHECK(trained.logits(at::arange(3, 13, at::kLong).unsqueeze(0)).equal(before));
    }
  }
}

TEST_CASE("the TorchScript file's generate gives the greedy tokens of the trained model") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  export_as("torchscript", trained.source(), directory / "merged.pt");
  torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string());
  const std::vector<std::vector<int64_t>> prompts = {{5, 6, 7}, {9, 10, 11}};
  const auto wanted = generate(*trained.model, prompts, {.max_new_tokens = 10});
  const at::Tensor ids = at::tensor({5, 6, 7, 9, 10, 11}, at::kLong).view({2, 3});
  const at::Tensor found = loaded.get_method("generate")({ids, 10, 0.0, 1.0, -1}).toTensor();
  REQUIRE(found.sizes() == at::IntArrayRef({2, 13}));
  for (int64_t i = 0; i < 2; ++i) {
    CHECK(found[i].slice(0, 3).equal(at::tensor(wanted[static_cast<size_t>(i)], at::kLong)));
  }
  // With an end token, a row that has ended is filled with it.
  const int64_t end = wanted[0][2];
  const at::Tensor ended = loaded.get_method("generate")({ids, 10, 0.0, 1.0, end}).toTensor();
  CHECK(ended[0].slice(0, 5).eq(end).all().item<bool>());
}

TEST_CASE("in a TorchScript file of outtype int8 the layers' projections are int8 rows, and nothing else is") {
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const TemporaryDirectory directory;
    const Trained trained("qwen2", dtype);
    ExportSource source = trained.source();
    source.options = {.outtype = "int8", .huggingface_beside = false};
    const std::string line = export_as("torchscript", source, directory / "merged.pt");
    CHECK_THAT(line, StartsWith("layers as int8; logits of"));
    CHECK_FALSE(fs::exists(directory / "merged"));
    torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string());
    size_t rows = 0;
    for (const auto& item : loaded.named_buffers()) {
      if (!item.name.ends_with("_proj.weight")) continue;
      CHECK(item.value.scalar_type() == at::kChar);
      ++rows;
    }
    CHECK(rows == 2 * 7);
    for (const auto& item : loaded.named_parameters()) CHECK(!item.name.ends_with("_proj.weight"));
    // What it computes is the model whose projections were rounded so, and not a worse one.
    const at::Tensor ids = (at::arange(40, at::kLong) * 7 + 3).remainder(48).unsqueeze(0);
    const at::Tensor found = loaded.forward({ids}).toTensor();
    for (const AdaptedModule& module : trained.adapted.modules) {
      const at::Tensor merged = module.layer->merged_weight().to(at::kFloat).detach();
      const at::Tensor step = merged.abs().amax(1, /*keepdim=*/true) / 127;
      trained.model->replace(module.path,
                             std::make_shared<DenseLinear>(((merged / step).round() * step).to(trained.model->dtype()),
                                                           module.layer->bias_vector()));
    }
    CHECK(found.scalar_type() == trained.model->dtype());
    CHECK(relative_to_largest(found.to(at::kFloat), trained.logits(ids).to(at::kFloat)) <
          (dtype == "float32" ? 1e-5 : 0.1));
  }
}

TEST_CASE("TorchScript refuses GGUF's number formats") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  ExportSource source = trained.source();
  source.options.outtype = "q8_0";
  CHECK_THROWS_WITH(export_as("torchscript", source, directory / "merged.pt"), Contains("expected one of auto, int8"));
}

TEST_CASE("exporting an adapter reads it back and changes nothing of the model") {
  AdapterConfig config;
  config.modules_to_save = {"lm_head"};
  config.bias = Bias::kAll;
  const TemporaryDirectory directory;
  const Trained trained("qwen2", "float32", config);
  std::vector<std::pair<void*, at::Tensor>> before;
  for (const at::Tensor& parameter : trained.model->parameters()) {
    before.emplace_back(parameter.data_ptr(), parameter.detach().clone());
  }
  CHECK_THAT(export_as("peft", trained.source(), directory / "adapter"), Contains("adapted layers; logits of"));
  size_t i = 0;
  for (const at::Tensor& parameter : trained.model->parameters()) {
    CHECK(parameter.data_ptr() == before[i].first);
    CHECK(parameter.equal(before[i++].second));
  }
}

TEST_CASE("an adapter that does not compute the trained model is not put in its place") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  AdaptedModel wrong = trained.adapted;
  wrong.config.alpha *= 4;
  const ExportSource source{wrong, trained.directory, {}};
  CHECK_THROWS_WITH(export_as("peft", source, directory / "adapter"),
                    Contains("what was written computes another model"));
  CHECK_FALSE(fs::exists(directory / "adapter"));
}

TEST_CASE("the TorchScript file carries config and weights under Hugging Face's names") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  export_as("torchscript", trained.source(), directory / "merged.pt");
  torch::jit::ExtraFilesMap extra = {{"config.json", ""}};
  const torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string(), at::kCPU, extra);
  CHECK(extra["config.json"] == merged_config(trained.source()));
  std::set<std::string> names;
  for (const auto& item : loaded.named_parameters()) names.insert(item.name);
  CHECK(names.contains("model.layers.1.self_attn.q_proj.weight"));
  CHECK(names.contains("lm_head.weight"));
  CHECK(names.size() == 2 * 9 + 3);
}

TEST_CASE("a bfloat16 model is exported in bfloat16") {
  const TemporaryDirectory directory;
  const Trained trained("default", "bfloat16");
  export_as("torchscript", trained.source(), directory / "merged.pt");
  torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string());
  CHECK(loaded.forward({at::ones({1, 4}, at::kLong)}).toTensor().scalar_type() == at::kBFloat16);
}

TEST_CASE("the Hugging Face directory is the merged model, and replaces an earlier export") {
  for (const char* name : {"default", "tied", "qwen2"}) {
    const TemporaryDirectory directory;
    const Trained trained(name);
    fs::create_directories(directory / "merged");
    write_bytes(directory / "merged" / "model-00001-of-00002.safetensors", "old");
    export_as("huggingface", trained.source(), directory / "merged");
    CHECK_FALSE(fs::exists(directory / "merged" / "model-00001-of-00002.safetensors"));
    const auto again = load_pretrained(directory / "merged", "auto");
    const at::NoGradGuard no_grad;
    const at::Tensor ids = at::arange(3, 43, at::kLong).view({2, 20});
    CHECK(relative_to_largest(again->forward(ids), trained.logits(ids)) < 1e-5);
  }
}

TEST_CASE("exports that cannot be written are storage errors and leave nothing behind") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  write_bytes(directory / "file", "in the way");
  CHECK_THROWS_AS(export_as("torchscript", trained.source(), directory / "file" / "merged.pt"), StorageError);
  CHECK_THROWS_AS(export_as("huggingface", trained.source(), directory / "file"), StorageError);
  CHECK(read_bytes(directory / "file") == "in the way");
  CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
}
