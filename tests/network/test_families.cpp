// Every model family against transformers, and config.json as it is published.

#include <ATen/ATen.h>

#include <cmath>

#include "lora/inference/generation.h"
#include "models/base/error.h"
#include "models/network/families/families.h"
#include "models/network/pretrained.h"
#include "models/network/rope.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/golden_families.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

json family_config(const std::string& name) { return read_json(golden_family(name) / "config.json"); }

ModelConfig parse(const json& config) { return parse_model_config(config.dump(), "config.json"); }

ModelConfig parse_with(const std::string& name, const std::function<void(json&)>& change) {
  json config = family_config(name);
  change(config);
  return parse(config);
}

// The tokens of `ids` one after another after a prefill of `first`, with the cache: logits (T, V).
at::Tensor logits_with_cache(LlamaForCausalLM& model, const at::Tensor& ids, int64_t first) {
  const ModelConfig& c = model.config();
  KvCache cache(c.num_hidden_layers, 1, ids.size(0), c.num_key_value_heads, c.head_dim, at::kFloat);
  std::vector<at::Tensor> parts = {model.logits(model.model->forward({ids.narrow(0, 0, first), {first}}, {}, &cache))};
  for (int64_t t = first; t < ids.size(0); ++t) {
    parts.push_back(model.logits(model.model->forward({ids.narrow(0, t, 1), {1}}, {}, &cache)));
  }
  return at::cat(parts);
}

}  // namespace

TEST_CASE("every family's logits are those of transformers, token by token") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const at::NoGradGuard no_grad;
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "auto");
      CHECK(largest(model->forward(golden["input_ids"]) - golden["logits"]) < 3e-5);
      // LongRoPE has other frequencies for a short text.
      CHECK(largest(model->forward(golden["input_ids"].slice(1, 0, 9)) - golden["logits_short"]) < 3e-5);
    }
  }
}

TEST_CASE("in bfloat16 every family is as near to float32 as transformers is") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const at::NoGradGuard no_grad;
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "bfloat16");
      for (const bool fused : {false, true}) {
        const at::Tensor found = model->forward(golden["input_ids"], {.fused = fused}).to(at::kFloat);
        const double ours = (found - golden["logits"]).norm().item<double>();
        const double theirs = (golden["logits_bfloat16"].to(at::kFloat) - golden["logits"]).norm().item<double>();
        CHECK(ours <= 1.3 * theirs);
      }
    }
  }
}

TEST_CASE("every family continues as transformers does") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "float32");
      const at::Tensor prompt = golden["input_ids"][0].slice(0, 0, 6), greedy = golden["greedy"];
      const std::vector<int64_t> ids(prompt.const_data_ptr<int64_t>(), prompt.const_data_ptr<int64_t>() + 6);
      const auto found = generate(*model, {ids}, {.max_new_tokens = 12})[0];
      CHECK(at::tensor(found, at::kLong).equal(greedy));
    }
  }
}

TEST_CASE("every family computes the same with a cache as without") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const at::NoGradGuard no_grad;
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "float32");
      // A prompt beyond the window, and beyond LongRoPE's original context.
      const at::Tensor ids = golden["input_ids"][1];
      CHECK(largest(logits_with_cache(*model, ids, 21) - golden["logits"][1]) < 3e-5);
      if (name == "phi3_longrope") continue;
      CHECK(largest(logits_with_cache(*model, ids, 1) - golden["logits"][1]) < 3e-5);
    }
  }
}

TEST_CASE("in every family a sample is computed as if it were alone, fused or not") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const at::NoGradGuard no_grad;
      const auto model = load_pretrained(golden_family(name), "float32");
      const at::Tensor ids = at::arange(3, 60, at::kLong);
      for (const bool fused : {true, false}) {
        const ExecutionPlan plan{.fused = fused};
        const at::Tensor packed = model->model->forward({ids, {4, 25, 1, 6, 21}}, plan);
        const std::pair<int64_t, int64_t> samples[] = {{0, 4}, {4, 25}, {29, 1}, {30, 6}, {36, 21}};
        for (const auto& [begin, length] : samples) {
          const at::Tensor alone = model->model->forward({ids.narrow(0, begin, length), {length}}, plan);
          CHECK(largest(packed.narrow(0, begin, length) - alone) < 1e-5);
        }
      }
    }
  }
}

TEST_CASE("every family's loss is that of its logits") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const at::NoGradGuard no_grad;
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "float32");
      const double loss = model->loss_sum(golden.batch(), golden.targets()).item<double>();
      const at::Tensor wanted = at::cross_entropy_loss(golden["logits"].flatten(0, 1), golden.targets(), {},
                                                       at::Reduction::Sum, kIgnoredTarget);
      CHECK(loss == Approx(wanted.item<double>()).epsilon(1e-6));
    }
  }
}

TEST_CASE("classifiers of families that transformers has one of give its logits") {
  for (const std::string name : {"qwen3_classifier", "gemma2_classifier", "gemma3_classifier"}) {
    DYNAMIC_SECTION(name) {
      const at::NoGradGuard no_grad;
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "auto", {{"a", "b", "c"}});
      CHECK(largest(model->forward(golden["input_ids"]).select(1, -1) - golden["logits"]) < 3e-5);
    }
  }
  CHECK_THROWS_WITH(make_random(golden_family("granite"), "auto", 1, {"a", "b"}),
                    Contains("no classifier of 'granite'"));
  CHECK_THROWS_WITH(parse_with("qwen3", [](json& c) { c["architectures"] = {"LlamaForSequenceClassification"}; }),
                    Contains("'LlamaForSequenceClassification', which transformers does not have for 'qwen3'"));
}

TEST_CASE("a text that grows over LongRoPE's original context is refused, not turned by two kinds of angles") {
  const auto model = load_pretrained(golden_family("phi3_longrope"), "auto");
  CHECK_NOTHROW(generate(*model, {{5, 6, 7}}, {.max_new_tokens = 18}));  // the last token is not read again
  CHECK_THROWS_WITH(generate(*model, {{5, 6, 7}}, {.max_new_tokens = 19}), Contains("beyond 20 tokens"));
}

TEST_CASE("float8 weights are read as the numbers they are") {
  for (const auto type : {at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    const TemporaryDirectory eight, wide;
    NamedTensors small, large;
    const SafetensorsFile file(golden_family("qwen3") / "model.safetensors");
    for (const auto& [name, entry] : file.entries()) {
      small.emplace_back(name, file.tensor(name).to(type));
      large.emplace_back(name, file.tensor(name).to(type).to(at::kFloat));
    }
    json config = family_config("qwen3");
    config["dtype"] = type == at::kFloat8_e5m2 ? "float8_e5m2" : "float8_e4m3fn";
    for (const auto& [directory, tensors] : {std::pair(&eight, &small), std::pair(&wide, &large)}) {
      write_bytes(*directory / "config.json", config.dump());
      write_safetensors(*directory / "model.safetensors", *tensors);
    }
    const at::NoGradGuard no_grad;
    const at::Tensor ids = at::arange(3, 13, at::kLong).unsqueeze(0);
    CHECK(load_pretrained(eight.path(), "float32")
              ->forward(ids)
              .equal(load_pretrained(wide.path(), "float32")->forward(ids)));
    CHECK(load_pretrained(eight.path(), "auto")->dtype() == at::kBFloat16);
    CHECK(load_pretrained(eight.path(), "auto")
              ->forward(ids)
              .equal(load_pretrained(wide.path(), "bfloat16")->forward(ids)));
  }
}

TEST_CASE("config.json as Mistral published it: a window in every layer, or none") {
  json config = {{"architectures", {"MistralForCausalLM"}},
                 {"bos_token_id", 1},
                 {"eos_token_id", 2},
                 {"hidden_act", "silu"},
                 {"hidden_size", 4096},
                 {"initializer_range", 0.02},
                 {"intermediate_size", 14336},
                 {"max_position_embeddings", 32768},
                 {"model_type", "mistral"},
                 {"num_attention_heads", 32},
                 {"num_hidden_layers", 32},
                 {"num_key_value_heads", 8},
                 {"rms_norm_eps", 1e-05},
                 {"rope_theta", 10000.0},
                 {"sliding_window", 4096},
                 {"tie_word_embeddings", false},
                 {"torch_dtype", "bfloat16"},
                 {"transformers_version", "4.34.0.dev0"},
                 {"attention_dropout", 0.0},
                 {"use_cache", true},
                 {"vocab_size", 32000}};
  CHECK(parse(config).layers[31].window == 4096);
  CHECK(parse(config).head_dim == 128);
  CHECK(parse(config).notes.empty());
  config["sliding_window"] = nullptr;
  CHECK(parse(config).layers[0].window == 0);
  config.erase("sliding_window");  // transformers' default
  CHECK(parse(config).layers[0].window == 4096);
  config["layer_types"] = std::vector<std::string>(32, "full_attention");
  CHECK_THROWS_WITH(parse(config), Contains("'layer_types' differ from 'sliding_window'"));
}

TEST_CASE("config.json as Qwen published it: the window is off by default, then of the upper layers") {
  json config = {{"architectures", {"Qwen3ForCausalLM"}},
                 {"attention_bias", false},
                 {"attention_dropout", 0.0},
                 {"bos_token_id", 151643},
                 {"eos_token_id", 151645},
                 {"head_dim", 128},
                 {"hidden_act", "silu"},
                 {"hidden_size", 1024},
                 {"initializer_range", 0.02},
                 {"intermediate_size", 3072},
                 {"max_position_embeddings", 40960},
                 {"max_window_layers", 28},
                 {"model_type", "qwen3"},
                 {"num_attention_heads", 16},
                 {"num_hidden_layers", 30},
                 {"num_key_value_heads", 8},
                 {"rms_norm_eps", 1e-06},
                 {"rope_scaling", nullptr},
                 {"rope_theta", 1000000},
                 {"sliding_window", nullptr},
                 {"tie_word_embeddings", true},
                 {"torch_dtype", "bfloat16"},
                 {"use_cache", true},
                 {"use_sliding_window", false},
                 {"vocab_size", 151936}};
  CHECK(parse(config).rope.theta == 1e6);
  CHECK(parse(config).qk_norm == QkNorm::kHead);
  CHECK(parse(config).layers[29].window == 0);
  config["use_sliding_window"] = true;
  config["sliding_window"] = 512;
  CHECK(parse(config).layers[27].window == 0);
  CHECK(parse(config).layers[28].window == 512);
  config["model_type"] = "qwen2";
  CHECK(parse(config).layers[28].window == 512);
  CHECK(parse(config).qkv_bias);
  CHECK_FALSE(parse(config).o_bias);
}

TEST_CASE("config.json as Google published it: five layers of six slide, with positions of their own") {
  json config = {{"architectures", {"Gemma3ForCausalLM"}},
                 {"attention_bias", false},
                 {"attention_dropout", 0.0},
                 {"attn_logit_softcapping", nullptr},
                 {"bos_token_id", 2},
                 {"cache_implementation", "hybrid"},
                 {"eos_token_id", {1, 106}},
                 {"final_logit_softcapping", nullptr},
                 {"head_dim", 256},
                 {"hidden_activation", "gelu_pytorch_tanh"},
                 {"hidden_size", 1152},
                 {"initializer_range", 0.02},
                 {"intermediate_size", 6912},
                 {"max_position_embeddings", 32768},
                 {"model_type", "gemma3_text"},
                 {"num_attention_heads", 4},
                 {"num_hidden_layers", 26},
                 {"num_key_value_heads", 1},
                 {"pad_token_id", 0},
                 {"query_pre_attn_scalar", 256},
                 {"rms_norm_eps", 1e-06},
                 {"rope_local_base_freq", 10000},
                 {"rope_scaling", nullptr},
                 {"rope_theta", 1000000},
                 {"sliding_window", 512},
                 {"sliding_window_pattern", 6},
                 {"torch_dtype", "bfloat16"},
                 {"use_cache", true},
                 {"vocab_size", 262144}};
  const ModelConfig gemma3 = parse(config);
  CHECK(gemma3.tie_word_embeddings);
  CHECK(gemma3.eos_token_ids == std::vector<int64_t>{1, 106});
  CHECK(gemma3.rope.theta == 1e6);
  CHECK(gemma3.local_rope.theta == 1e4);
  CHECK(gemma3.layers[4].window == 512);
  CHECK(gemma3.layers[4].positions == Positions::kLocal);
  CHECK(gemma3.layers[5].window == 0);
  CHECK(gemma3.layers[5].positions == Positions::kGlobal);
  CHECK(gemma3.embedding_scale == std::sqrt(1152.0));
  config["rope_scaling"] = {{"factor", 8.0}, {"rope_type", "linear"}};  // of the larger models: global layers alone
  CHECK(parse(config).rope.factor == 8);
  CHECK(parse(config).local_rope.type == RopeConfig::Type::kDefault);
  config["use_bidirectional_attention"] = true;
  CHECK_THROWS_WITH(parse(config), Contains("'use_bidirectional_attention' is true"));
  CHECK_THROWS_WITH(parse({{"model_type", "gemma3"}}), Contains("sees images too"));

  config = family_config("gemma2");
  for (const char* key : {"layer_types", "attn_logit_softcapping", "final_logit_softcapping"}) config.erase(key);
  const ModelConfig gemma2 = parse(config);
  CHECK(gemma2.attention_softcap == 50);
  CHECK(gemma2.logit_softcap == 30);
  CHECK(gemma2.layers[0].window == 7);
  CHECK(gemma2.layers[1].window == 0);
}

TEST_CASE("config.json as Microsoft published it: LongRoPE under two names, with lists of the right length") {
  const std::vector<double> factors(48, 1.5);
  json config = {{"architectures", {"Phi3ForCausalLM"}},
                 {"attention_bias", false},
                 {"attention_dropout", 0.0},
                 {"embd_pdrop", 0.0},
                 {"resid_pdrop", 0.0},
                 {"auto_map", {{"AutoConfig", "configuration_phi3.Phi3Config"}}},
                 {"hidden_act", "silu"},
                 {"hidden_size", 3072},
                 {"intermediate_size", 8192},
                 {"max_position_embeddings", 131072},
                 {"original_max_position_embeddings", 4096},
                 {"model_type", "phi3"},
                 {"num_attention_heads", 32},
                 {"num_hidden_layers", 32},
                 {"num_key_value_heads", 32},
                 {"rms_norm_eps", 1e-05},
                 {"rope_scaling", {{"type", "su"}, {"long_factor", factors}, {"short_factor", factors}}},
                 {"rope_theta", 10000.0},
                 {"sliding_window", 262144},
                 {"vocab_size", 32064}};
  const ModelConfig phi3 = parse(config);
  CHECK(phi3.fused_projections);
  CHECK(phi3.rope.type == RopeConfig::Type::kLongRope);
  CHECK(phi3.rope.attention_factor == Approx(std::sqrt(1 + std::log(32.0) / std::log(4096.0))));
  config["rope_scaling"]["short_factor"].push_back(1.0);
  CHECK_THROWS_WITH(parse(config), Contains("'short_factor' has 49 numbers; expected one for each of 48 pairs"));
}

TEST_CASE("dropout of the base is left out, and the person is told") {
  const auto notes = [](const std::string& key, const json& value) {
    return parse_with("granite", [&](json& c) { c[key] = value; }).notes;
  };
  CHECK(notes("attention_dropout", 0).empty());
  CHECK(notes("attention_dropout", 0.0).empty());
  const auto found = notes("attention_dropout", 0.1);
  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], Contains("attention_dropout of 0.1") && Contains("left out"));
  CHECK_THROWS_WITH(notes("attention_dropout", "much"), Contains("'attention_dropout' is \"much\""));
}

TEST_CASE("what a family does not compute is refused by name") {
  const auto refused = [](const std::string& name, const std::string& key, const json& value) {
    INFO(name << ", " << key);
    CHECK_THROWS_WITH(parse_with(name, [&](json& c) { c[key] = value; }), Contains("'" + key + "'"));
  };
  for (const std::string& name : golden_families()) {
    refused(name, "model_type", "gpt2");
    refused(name, "num_key_value_heads", 3);
    refused(name, "num_hidden_layers", 2'000'000'000);
    refused(name, "quantization_config", {{"quant_method", "fp8"}});
    refused(name, name.starts_with("gemma2") || name.starts_with("gemma3") ? "hidden_activation" : "hidden_act",
            "relu");
    CHECK_THROWS_WITH(parse_with(name,
                                 [](json& c) {
                                   c.erase("rope_parameters");
                                   c["rope_scaling"] = {{"rope_type", "ntk"}, {"factor", 2.0}};
                                 }),
                      Contains("'rope_type' is 'ntk'; supported are default, linear, dynamic, llama3, yarn"));
  }
  refused("mistral", "layer_types", {"full_attention"});
  refused("qwen3", "layer_types", {"chunked_attention", "full_attention"});
  refused("qwen3", "layer_types", {"sliding_attention", "full_attention"});  // use_sliding_window is false
  refused("smollm3", "no_rope_layers", {1, 0});
  refused("gemma3", "attn_logit_softcapping", 50.0);
  CHECK_THROWS_WITH(parse_with("mistral", [](json& c) { c["model_type"] = "mistrall"; }),
                    Contains("did you mean 'mistral'?"));
  CHECK_THROWS_WITH(parse_with("llama_yarn", [](json& c) { c["rope_parameters"].erase("factor"); }),
                    Contains("'factor' is missing; rope_type 'yarn' needs it"));
  CHECK_THROWS_WITH(parse_with("mistral", [](json& c) { c["partial_rotary_factor"] = 0.5; }),
                    Contains("'partial_rotary_factor' is not 1"));
}

// transformers' _compute_dynamic_ntk_parameters gives the default frequencies, bit for bit, for every length up to
// max_position_embeddings.
TEST_CASE("dynamic RoPE is the default one within the model's positions, and refused beyond") {
  const ModelConfig config = parse_with("mistral", [](json& c) {
    c.erase("rope_parameters");
    c["max_position_embeddings"] = 32;
    c["rope_scaling"] = {{"type", "dynamic"}, {"factor", 4.0}};
  });
  const ModelConfig plain = parse_with("mistral", [](json& c) { c.erase("rope_parameters"); });
  CHECK(at::equal(rope_frequencies(config.rope, config.head_dim), rope_frequencies(plain.rope, plain.head_dim)));
  RopePositions positions(config.rope, config.head_dim, config.max_position_embeddings);
  CHECK(positions.of({0}, {32}, at::kCPU).cos.size(0) == 32);
  CHECK_NOTHROW(expect_positions(config.rope, 32));
  CHECK_THROWS_WITH(expect_positions(config.rope, 33), Contains("where dynamic RoPE changes with the length"));
  CHECK_NOTHROW(expect_positions(plain.rope, 1'000'000));
  CHECK_THROWS_WITH(positions.of({30}, {3}, at::kCPU), Contains("a text of 33 tokens is longer than "
                                                                "max_position_embeddings 32, where dynamic RoPE"));
}

TEST_CASE("fresh weights of every family make a network that computes, norms multiplying by one") {
  for (const Family& family : families()) {
    INFO(family.model_type);
    json config = family_config("llama_yarn");
    config["model_type"] = family.model_type;
    for (const char* key : {"rope_parameters", "hidden_act"}) config.erase(key);
    const TemporaryDirectory directory;
    write_bytes(directory / "config.json", config.dump());
    const at::NoGradGuard no_grad;
    const auto model = make_random(directory.path(), "float32", 1);
    const at::Tensor x = at::randn({3, 16});
    const at::Tensor unit = x * (x.pow(2).mean(-1, true) + model->config().rms_norm_eps).rsqrt();
    CHECK(largest(model->model->norm->forward(x) - unit) < 1e-6);
    CHECK(model->forward(at::ones({1, 3}, at::kLong)).isfinite().all().item<bool>());
  }
}
