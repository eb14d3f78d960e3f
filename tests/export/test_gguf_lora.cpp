// GGUF of the adapter alone: with llama.cpp's s = alpha / rank it is the trained adapter, whatever made its scaling.

#include <ATen/ATen.h>

#include "lora/export/gguf_architecture.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/export/trained_model.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

AdapterConfig config(const std::string& method = "lora", const std::string& init = "kaiming") {
  AdapterConfig made;
  made.method = method;
  made.rank = 4;
  made.alpha = 12;
  made.init = init;
  return made;
}

// ΔW of a layer as llama.cpp computes it, rows as Hugging Face has them.
at::Tensor update(const GgufFile& file, const ModelConfig& model, const std::string& path) {
  const std::string name = gguf_name(model, path + ".weight");
  const at::Tensor a = file.tensor(name + ".lora_a");
  const at::Tensor b = from_gguf_rows(model, path + ".weight", file.tensor(name + ".lora_b"));
  return at::mm(b, a) * (file.value<float>("adapter.lora.alpha") / static_cast<float>(b.size(1)));
}

void check(const Trained& trained, float alpha) {
  const TemporaryDirectory directory;
  const std::string line = export_as("gguf-lora", trained.source(), directory / "adapter.gguf");
  CHECK_THAT(line, Contains("adapted layers as F32; logits of 64 tokens differ by"));
  const GgufFile file(directory / "adapter.gguf");
  CHECK(file.value<std::string>("general.type") == "adapter");
  CHECK(file.value<std::string>("adapter.type") == "lora");
  CHECK(file.value<float>("adapter.lora.alpha") == Approx(alpha));
  CHECK(file.entries().size() == 2 * trained.adapted.modules.size());
  for (const AdaptedModule& module : trained.adapted.modules) {
    const at::Tensor wanted = module.layer->merged_weight() - module.layer->weight_matrix();
    CHECK((update(file, trained.model->config(), module.path) - wanted).abs().max().item<double>() < 1e-5);
  }
}

std::string refusal(const AdapterConfig& adapter) {
  const TemporaryDirectory directory;
  try {
    export_as("gguf-lora", Trained("default", "auto", adapter).source(), directory / "adapter.gguf");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kRecipe);
    CHECK(std::filesystem::is_empty(directory.path()));
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a GGUF adapter adds what the trained one does") {
  for (const char* name : {"default", "head_dim", "qwen2"}) check(Trained(name, "auto", config()), 12);
}

TEST_CASE("rsLoRA's alpha is α·√r in GGUF, as llama.cpp divides by r") {
  AdapterConfig adapter = config();
  adapter.use_rslora = true;
  check(Trained("default", "auto", adapter), 24);
}

TEST_CASE("an adapter that began from the base is LoRA of twice the rank, with the same scaling") {
  for (const char* init : {"pissa", "olora"}) check(Trained("default", "auto", config("lora", init)), 24);
}

TEST_CASE("modules with a rank or an alpha of their own keep their scaling under the file's one alpha") {
  AdapterConfig adapter = config();
  adapter.rank_pattern = {{"k_proj", 2}, {"down_proj", 8}};
  adapter.alpha_pattern = {{"up_proj", 3}};
  check(Trained("default", "auto", adapter), 12);
}

TEST_CASE("a GGUF adapter may be in half precision") {
  const TemporaryDirectory directory;
  const Trained trained("default", "auto", config());
  ExportSource source = trained.source();
  source.options.outtype = "f16";
  export_as("gguf-lora", source, directory / "adapter.gguf");
  const GgufFile file(directory / "adapter.gguf");
  for (const auto& [name, entry] : file.entries()) {
    CHECK(entry.type == static_cast<uint32_t>(GgmlType::kF16));
  }
  source.options.outtype = "q8_0";
  CHECK_THROWS_WITH(export_as("gguf-lora", source, directory / "adapter.gguf"),
                    Contains("expected one of auto, f32, f16, bf16"));
}

TEST_CASE("what a GGUF adapter has no place for is refused by name, with what to do instead") {
  CHECK_THAT(refusal(config("dora")), Contains("method 'dora'") && Contains("merge first"));
  CHECK_THAT(refusal(config("full")), Contains("method full") && Contains("gguf writes the whole model"));
  AdapterConfig saving = config();
  saving.modules_to_save = {"lm_head"};
  CHECK_THAT(refusal(saving), Contains("'lm_head' is trained whole (modules_to_save)") && Contains("merge first"));
}
