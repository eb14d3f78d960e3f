// GGUF of the merged model: the file is the trained model again, under llama.cpp's names and in its order of rows.

#include <ATen/ATen.h>

#include <set>

#include "lora/export/gguf_architecture.h"
#include "lora/export/gguf_model.h"
#include "lora/export/verify.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/export/trained_model.h"
#include "tests/file_size_limit.h"
#include "tests/golden_families.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::string export_as(const Trained& trained, const fs::path& output, const std::string& outtype = "auto") {
  ExportSource source = trained.source();
  source.options.outtype = outtype;
  return export_as("gguf", source, output);
}

}  // namespace

TEST_CASE("the GGUF file is the trained model, for every shape of one") {
  for (const char* name : {"default", "tied", "biases", "head_dim", "rope_linear", "rope_llama3", "qwen2"}) {
    DYNAMIC_SECTION(name) {
      const TemporaryDirectory directory;
      const Trained trained(name);
      const std::string line = export_as(trained, directory / "model.gguf");
      CHECK_THAT(line, Contains("as F32, adapters merged; logits of 64 tokens differ by"));
      const auto loaded = load_gguf(directory / "model.gguf", *trained.model);
      loaded->eval();
      const at::NoGradGuard no_grad;
      const at::Tensor ids = at::arange(3, 43, at::kLong).view({2, 20});
      CHECK(relative_to_largest(loaded->forward(ids), trained.logits(ids)) < 1e-5);
    }
  }
}

TEST_CASE(
    "the GGUF file of another family is the trained model, or refused with what llama.cpp would compute otherwise") {
  const std::map<std::string, std::string> refused = {{"llama_yarn", "type yarn"},
                                                      {"qwen3_window", "biases of"},
                                                      {"smollm3", "without positions"},
                                                      {"smollm3_window", "without positions"},
                                                      {"phi3_longrope", "type yarn or longrope"},
                                                      {"gemma2", "query_pre_attn_scalar"},
                                                      {"gemma3", "sliding windows"}};
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const TemporaryDirectory directory;
      const Trained trained(golden_family(name));
      const auto reason = refused.find(name);
      if (reason != refused.end()) {
        CHECK_THROWS_WITH(export_as(trained, directory / "model.gguf"), Contains(reason->second));
        CHECK(fs::is_empty(directory.path()));
        continue;
      }
      export_as(trained, directory / "model.gguf");
      const auto loaded = load_gguf(directory / "model.gguf", *trained.model);
      loaded->eval();
      const at::NoGradGuard no_grad;
      const at::Tensor ids = at::arange(3, 43, at::kLong).view({2, 20});
      CHECK(relative_to_largest(loaded->forward(ids), trained.logits(ids)) < 1e-5);
      const GgufFile file(directory / "model.gguf");
      const std::string key = file.value<std::string>("general.architecture") + ".context_length";
      if (name.ends_with("_window")) CHECK(file.value<uint32_t>(key) == 7);
    }
  }
}

TEST_CASE("a GGUF's names and numbers are those that llama.cpp reads") {
  const TemporaryDirectory directory;
  const Trained trained("rope_llama3");
  export_as(trained, directory / "model.gguf");
  const GgufFile file(directory / "model.gguf");
  const ModelConfig& config = trained.model->config();
  CHECK(file.value<std::string>("general.architecture") == "llama");
  CHECK(file.value<std::string>("general.type") == "model");
  CHECK(file.value<uint32_t>("llama.attention.head_count_kv") == config.num_key_value_heads);
  CHECK(file.value<uint32_t>("llama.rope.dimension_count") == config.head_dim);
  CHECK(file.value<float>("llama.rope.freq_base") == static_cast<float>(config.rope.theta));
  std::set<std::string> names;
  for (const auto& [name, entry] : file.entries()) {
    if (!name.starts_with("blk.") || name.starts_with("blk.0.")) names.insert(name);
  }
  std::set<std::string> wanted = {"blk.0.attn_k.weight",   "blk.0.attn_norm.weight", "blk.0.attn_output.weight",
                                  "blk.0.attn_q.weight",   "blk.0.attn_v.weight",    "blk.0.ffn_down.weight",
                                  "blk.0.ffn_gate.weight", "blk.0.ffn_norm.weight",  "blk.0.ffn_up.weight",
                                  "output_norm.weight",    "rope_freqs.weight",      "token_embd.weight"};
  if (!config.tie_word_embeddings) wanted.insert("output.weight");
  CHECK(names == wanted);
}

TEST_CASE("rows of q and k are put so that a rotary pair is two neighbours, of llama alone") {
  ModelConfig config;
  config.model_type = "llama";
  config.num_attention_heads = 3;
  config.num_key_value_heads = 1;
  config.head_dim = 8;
  config.hidden_size = 24;
  const std::string q = "model.layers.0.self_attn.q_proj.weight", k = "model.layers.0.self_attn.k_proj.bias";
  const at::Tensor weight = at::arange(24 * 2, at::kFloat).view({24, 2});
  const at::Tensor rows = to_gguf_rows(config, q, weight);
  for (int64_t head = 0; head < 3; ++head) {
    for (int64_t i = 0; i < 4; ++i) {
      CHECK(rows[head * 8 + 2 * i].equal(weight[head * 8 + i]));
      CHECK(rows[head * 8 + 2 * i + 1].equal(weight[head * 8 + 4 + i]));
    }
  }
  CHECK(from_gguf_rows(config, q, rows).equal(weight));
  const at::Tensor bias = at::arange(8, at::kFloat);
  CHECK(to_gguf_rows(config, k, bias).equal(at::tensor({0.f, 4.f, 1.f, 5.f, 2.f, 6.f, 3.f, 7.f})));
  CHECK(to_gguf_rows(config, "model.layers.0.self_attn.v_proj.weight", weight).equal(weight));
  config.model_type = "qwen2";
  CHECK(to_gguf_rows(config, q, weight).equal(weight));
}

TEST_CASE("matrices have the number format asked for, norms and biases float32") {
  for (const auto& [outtype, wanted] : std::map<std::string, GgmlType>{
           {"f32", GgmlType::kF32}, {"f16", GgmlType::kF16}, {"bf16", GgmlType::kBF16}, {"q8_0", GgmlType::kQ8_0}}) {
    const TemporaryDirectory directory;
    const Trained trained("biases");
    export_as(trained, directory / "model.gguf", outtype);
    const GgufFile file(directory / "model.gguf");
    for (const auto& [name, entry] : file.entries()) {
      const bool whole = entry.shape.back() % ggml_block(wanted) == 0;
      const GgmlType type = entry.shape.size() == 1 ? GgmlType::kF32 : whole ? wanted : GgmlType::kF16;
      INFO(outtype << " " << name);
      CHECK(ggml_name(static_cast<GgmlType>(entry.type)) == ggml_name(type));
    }
  }
  const TemporaryDirectory directory;
  export_as(Trained("default", "bfloat16"), directory / "own.gguf");
  CHECK(GgufFile(directory / "own.gguf").entries().at("token_embd.weight").type ==
        static_cast<uint32_t>(GgmlType::kBF16));
  CHECK_THROWS_WITH(export_as(Trained("default"), directory / "x.gguf", "q4_k"),
                    Contains("outtype 'q4_k'; expected one of auto, f32, f16, bf16, q8_0"));
}

TEST_CASE("what llama.cpp has no place for is refused by name") {
  const TemporaryDirectory directory;
  ModelConfig config = Trained("default").model->config();
  config.model_type = "mamba";
  CHECK_THROWS_WITH(gguf_architecture(config), Contains("no architecture for model_type 'mamba'"));
  config.model_type = "llama";
  config.labels = {"a", "b"};
  CHECK_THROWS_WITH(gguf_architecture(config), Contains("a classifier"));
  CHECK_THROWS_WITH(gguf_name(config, "model.layers.0.mlp.gate.weight"), Contains("'model.layers.0.mlp.gate.weight'"));
}

TEST_CASE("a GGUF export that fails leaves what was there, and nothing beside it") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  write_bytes(directory / "model.gguf", "earlier");
  {
    const FileSizeLimit limit(4096);
    CHECK_THROWS_AS(export_as(trained, directory / "model.gguf"), StorageError);
  }
  CHECK_THROWS_AS(export_as(trained, directory / "model.gguf" / "inside.gguf"), StorageError);
  CHECK_THROWS_AS(export_as(trained, directory.path()), StorageError);
  CHECK(read_bytes(directory / "model.gguf") == "earlier");
  CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
  export_as(trained, directory / "model.gguf");
  CHECK(read_bytes(directory / "model.gguf").starts_with("GGUF"));
}

TEST_CASE("what computes another model than the trained one is refused") {
  const Trained trained("default");
  const auto off_by = [&](double difference) {
    return verify_logits(
        trained.source(), [&](const at::Tensor& ids) { return trained.logits(ids) + difference; }, 1e-4, "float32");
  };
  CHECK_THAT(off_by(0), Contains("differ by 0 at most, 0 on average from the trained model's: the same numbers"));
  CHECK_THAT(off_by(1e-5), Contains(": within what float32 rounds; "));
  CHECK_THROWS_AS(off_by(0.1), NumericsError);
  CHECK_THROWS_AS(off_by(std::nan("")), NumericsError);
}
