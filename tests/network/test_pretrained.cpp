// Reading a Hugging Face directory: what is wrong with it is said by name.

#include <ATen/ATen.h>

#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "models/network/config.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

NamedTensors tensors_of(const fs::path& directory) {
  const SafetensorsFile file(directory / "model.safetensors");
  NamedTensors tensors;
  for (const auto& [name, entry] : file.entries()) tensors.emplace_back(name, file.tensor(name));
  return tensors;
}

// A copy of the golden model whose tensors went through `change`.
void copy_changed(const fs::path& to, const std::function<void(NamedTensors&)>& change) {
  fs::copy_file(golden_model("default") / "config.json", to / "config.json");
  NamedTensors tensors = tensors_of(golden_model("default"));
  change(tensors);
  write_safetensors(to / "model.safetensors", tensors);
}

std::string config_with(const std::string& key, const nlohmann::json& value) {
  nlohmann::json config = read_json(golden_model("default") / "config.json");
  config[key] = value;
  return config.dump();
}

}  // namespace

TEST_CASE("a missing tensor is named") {
  const TemporaryDirectory directory;
  copy_changed(directory.path(), [](NamedTensors& tensors) {
    std::erase_if(tensors, [](const auto& item) { return item.first == "model.layers.1.mlp.up_proj.weight"; });
  });
  CHECK_THROWS_WITH(load_pretrained(directory.path(), "auto"),
                    Contains("'model.layers.1.mlp.up_proj.weight' [24, 16] is missing"));
}

TEST_CASE("an extra tensor is named") {
  const TemporaryDirectory directory;
  copy_changed(directory.path(),
               [](NamedTensors& tensors) { tensors.emplace_back("model.layers.0.extra.weight", at::ones({2})); });
  CHECK_THROWS_WITH(load_pretrained(directory.path(), "auto"), Contains("'model.layers.0.extra.weight'"));
}

TEST_CASE("a misshapen tensor is named with both shapes") {
  const TemporaryDirectory directory;
  copy_changed(directory.path(), [](NamedTensors& tensors) {
    for (auto& [name, tensor] : tensors) {
      if (name == "model.norm.weight") tensor = at::ones({3});
    }
  });
  CHECK_THROWS_WITH(load_pretrained(directory.path(), "auto"),
                    Contains("'model.norm.weight' is [3]; expected [16] by config.json"));
}

TEST_CASE("a truncated weight file is a model error") {
  const TemporaryDirectory directory;
  copy_changed(directory.path(), [](NamedTensors&) {});
  fs::resize_file(directory / "model.safetensors", fs::file_size(directory / "model.safetensors") - 10);
  CHECK_THROWS_AS(load_pretrained(directory.path(), "auto"), ModelError);
}

TEST_CASE("shards are read through their index") {
  const TemporaryDirectory directory;
  fs::copy_file(golden_model("default") / "config.json", directory / "config.json");
  NamedTensors first, second;
  nlohmann::json map;
  for (const auto& item : tensors_of(golden_model("default"))) {
    const bool early = item.first < "model.layers.1";
    (early ? first : second).push_back(item);
    map[item.first] = early ? "a.safetensors" : "b.safetensors";
  }
  write_safetensors(directory / "a.safetensors", first);
  write_safetensors(directory / "b.safetensors", second);
  write_bytes(directory / "model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::arange(3, 13, at::kLong).unsqueeze(0);
  CHECK(load_pretrained(directory.path(), "auto")
            ->forward(ids)
            .equal(load_pretrained(golden_model("default"), "auto")->forward(ids)));
  fs::remove(directory / "b.safetensors");
  CHECK_THROWS_WITH(load_pretrained(directory.path(), "auto"), Contains("shard 'b.safetensors'"));
}

// transformers 5.24 keeps both weights where they differ ("…tied weights mapping…, but both are present…, we will NOT
// tie them") and has the stored head's logits.
TEST_CASE(
    "a head that config.json ties is taken where it equals the embedding, and refused with both names elsewhere") {
  const auto stored = [](const at::Tensor& head, const std::string& config) {
    const TemporaryDirectory directory;
    const SafetensorsFile original(golden_model("tied") / "model.safetensors");
    NamedTensors tensors = {{"lm_head.weight", head}};
    for (const auto& [name, entry] : original.entries()) tensors.emplace_back(name, original.tensor(name));
    write_safetensors(directory / "model.safetensors", tensors);
    write_bytes(directory / "config.json", config);
    return load_pretrained(directory.path(), "float32")->has_tied_head();
  };
  const std::string tied = read_bytes(golden_model("tied") / "config.json");
  const at::Tensor embedding =
      SafetensorsFile(golden_model("tied") / "model.safetensors").tensor("model.embed_tokens.weight").clone();
  CHECK(stored(embedding, tied));
  CHECK(stored(embedding.to(at::kDouble), tied));
  for (const at::Tensor& other : {embedding + 1e-3, embedding.narrow(0, 0, 40).clone()}) {
    CHECK_THROWS_WITH(stored(other, tied), Contains("'tie_word_embeddings' is true") &&
                                               Contains("'lm_head.weight' in") &&
                                               Contains("differs from 'model.embed_tokens.weight'"));
  }
  nlohmann::json untied = nlohmann::json::parse(tied);
  untied["tie_word_embeddings"] = false;
  CHECK_FALSE(stored(embedding + 1e-3, untied.dump()));
  CHECK_THROWS_WITH(
      [&] {
        const TemporaryDirectory directory;
        fs::copy_file(golden_model("tied") / "model.safetensors", directory / "model.safetensors");
        write_bytes(directory / "config.json", untied.dump());
        load_pretrained(directory.path(), "float32");
      }(),
      Contains("'lm_head.weight' [48, 16] is missing") && Contains("tie_word_embeddings is false"));
}

TEST_CASE("beside a single file an index of files that are not there is passed over, and of others refused") {
  const TemporaryDirectory directory;
  for (const char* name : {"config.json", "model.safetensors"}) {
    fs::copy_file(golden_model("default") / name, directory / name);
  }
  const std::string shard = "model-00001-of-00001.safetensors";
  write_bytes(directory / "model.safetensors.index.json",
              nlohmann::json{{"weight_map", {{"lm_head.weight", shard}}}}.dump());
  CHECK_NOTHROW(load_pretrained(directory.path(), "float32"));
  fs::copy_file(golden_model("default") / "model.safetensors", directory / shard);
  CHECK_THROWS_WITH(load_pretrained(directory.path(), "float32"),
                    Contains("holds model.safetensors and") && Contains(shard));
}

TEST_CASE("half-precision weights are used in bfloat16 and widened for float32") {
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    const TemporaryDirectory directory;
    copy_changed(directory.path(), [&](NamedTensors& tensors) {
      for (auto& [name, tensor] : tensors) tensor = tensor.to(type);
    });
    const at::NoGradGuard no_grad;
    const at::Tensor ids = at::arange(3, 13, at::kLong).unsqueeze(0);
    const auto wide = load_pretrained(directory.path(), "float32");
    CHECK(wide->model->norm->weight.scalar_type() == at::kFloat);
    const auto narrow = load_pretrained(directory.path(), "bfloat16");
    CHECK(narrow->forward(ids).scalar_type() == at::kBFloat16);
    const at::Tensor difference = narrow->forward(ids).to(at::kFloat) - wide->forward(ids);
    CHECK(difference.abs().max().item<double>() < 0.1 * wide->forward(ids).abs().max().item<double>());
  }
}

TEST_CASE("weights of the expected dtype are not copied") {
  const TemporaryDirectory directory;
  copy_changed(directory.path(), [](NamedTensors&) {});
  // Storage over mapped memory cannot be resized; that of a copy can.
  for (const at::Tensor& weight : load_pretrained(directory.path(), "float32")->parameters()) {
    CHECK_FALSE(weight.storage().resizable());
    CHECK_FALSE(weight.requires_grad());
  }
  CHECK(load_pretrained(directory.path(), "bfloat16")->model->norm->weight.storage().resizable());
}

TEST_CASE("fresh weights follow from the seed") {
  const auto first = make_random(golden_model("default"), "float32", 5);
  const auto again = make_random(golden_model("default"), "float32", 5);
  const auto other = make_random(golden_model("default"), "float32", 6);
  CHECK(first->lm_head->weight_matrix().equal(again->lm_head->weight_matrix()));
  CHECK_FALSE(first->lm_head->weight_matrix().equal(other->lm_head->weight_matrix()));
}

TEST_CASE("what config.json asks for and this code does not compute is refused by name") {
  const auto refused = [](const std::string& key, const nlohmann::json& value) {
    CHECK_THROWS_WITH(parse_model_config(config_with(key, value), "config.json"), Contains("'" + key + "'"));
  };
  refused("model_type", "gpt2");
  refused("hidden_act", "gelu");
  refused("quantization_config", {{"bits", 4}});
  refused("use_sliding_window", true);
  refused("num_key_value_heads", 3);
  refused("vocab_size", 0);
  refused("vocab_size", "many");
  refused("vocab_size", 1e300);
  refused("rms_norm_eps", -1);
  refused("head_dim", 3);
  CHECK_THROWS_WITH(parse_model_config(config_with("rope_parameters", {{"rope_type", "yarn"}}), "config.json"),
                    Contains("yarn"));
  CHECK_THROWS_AS(parse_model_config("{", "config.json"), ModelError);
  CHECK_THROWS_AS(parse_model_config("[]", "config.json"), ModelError);
  CHECK_THROWS_AS(read_model_config("/no/such/directory"), ModelError);
}

TEST_CASE("a decoder that was saved without its head is read under its names without 'model.'") {
  const TemporaryDirectory directory;
  const auto without_prefix = [](NamedTensors& tensors) {
    for (auto& [name, tensor] : tensors) {
      if (name.starts_with("model.")) name = name.substr(6);
    }
  };
  copy_changed(directory.path(), without_prefix);
  const auto found = load_pretrained(directory.path(), "auto"),
             expected = load_pretrained(golden_model("default"), "auto");
  const auto parameters = expected->named_parameters();
  for (const auto& item : found->named_parameters()) CHECK(item.value().equal(parameters[item.key()]));
  CHECK(found->named_parameters().size() == parameters.size());

  // Names of both kinds are not of one decoder.
  const TemporaryDirectory mixed;
  copy_changed(mixed.path(), [](NamedTensors& tensors) {
    for (auto& [name, tensor] : tensors) {
      if (name == "model.embed_tokens.weight") name = "embed_tokens.weight";
    }
  });
  CHECK_THROWS_WITH(load_pretrained(mixed.path(), "auto"),
                    Contains("'model.embed_tokens.weight'") && Contains("missing"));
}
