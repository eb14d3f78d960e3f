// Adapter files as others write them: names that match nothing, tensors under other names, keys and formats that are
// not PEFT's. tests/golden/peft_options is made by scripts/make_golden_adapters.py.

#include <ATen/ATen.h>

#include "lora/adapters/inject.h"
#include "lora/adapters/peft.h"
#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/golden_logits.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

std::filesystem::path peft_file(const std::string& name) { return source_dir() / "tests/golden/peft_options" / name; }

AdaptedModel loaded(const std::filesystem::path& directory, const std::string& base,
                    const std::vector<std::string>& ignored = {}) {
  AdapterConfig config = read_peft_config(directory, ignored).config;
  config.init_from = directory.string();
  return inject(load_pretrained(golden_model(base), "float32"), config, 1);
}

at::Tensor expected_logits(const std::string& name) {
  return SafetensorsFile(peft_file(name) / "expected.safetensors").tensor("logits").clone();
}

// The golden adapter with its tensors and its configuration changed.
struct ChangedAdapter {
  ChangedAdapter(const std::string& name, const std::function<void(std::map<std::string, at::Tensor>&)>& change,
                 const nlohmann::json& options = nlohmann::json::object()) {
    const SafetensorsFile file(peft_file(name) / "adapter_model.safetensors");
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [key, entry] : file.entries()) tensors[key] = file.tensor(key);
    change(tensors);
    write_safetensors(directory / "adapter_model.safetensors", {tensors.begin(), tensors.end()});
    nlohmann::json config = read_json(peft_file(name) / "adapter_config.json");
    config.update(options);
    write_bytes(directory / "adapter_config.json", config.dump());
  }
  TemporaryDirectory directory;
};

void unchanged(std::map<std::string, at::Tensor>&) {}

}  // namespace

TEST_CASE("of a file's overlapping patterns the first counts, and what is written keeps their order") {
  const AdaptedModel adapted = loaded(peft_file("overlapping_patterns"), "default");
  using Ranks = std::vector<std::pair<std::string, int64_t>>;
  CHECK(adapted.config.rank_pattern == Ranks{{"q_proj", 2}, {"layers.1.self_attn.q_proj", 5}});
  for (const AdaptedModule& module : adapted.modules) {
    INFO(module.path);
    const bool q = module.path.ends_with("q_proj"), second = module.path.find(".1.") != std::string::npos;
    CHECK(module.layer->rank() == (q ? 2 : 3));
    CHECK(module.layer->alpha() == (q ? 64 : second ? 3 : 4));
  }
  const TemporaryDirectory directory;
  write_peft(directory.path(), adapted, "default");
  const AdaptedModel again = loaded(directory.path(), "default");
  CHECK(again.config.alpha_pattern == adapted.config.alpha_pattern);
  CHECK(last_logits(*again.model).equal(last_logits(*adapted.model)));
}

TEST_CASE("whatever the start and the scaling, overlapping patterns come back from the file that was written") {
  for (const char* init : {"kaiming", "gaussian", "pissa", "olora"}) {
    for (const bool use_rslora : {false, true}) {
      INFO(init << " " << use_rslora);
      AdapterConfig config;
      config.rank = 4;
      config.alpha = 12;
      config.use_rslora = use_rslora;
      config.init = init;
      config.target_modules = AllLinear{};
      config.rank_pattern = {{"q_proj", 2}, {"layers.1.self_attn.q_proj", 6}, {".*_proj", 3}};
      config.alpha_pattern = {{"up_proj", 5}, {"layers.0.*", 7}, {"q_proj", 64}, {".*", 3}};
      const AdaptedModel adapted = inject(load_pretrained(golden_model("default"), "float32"), config, 1);
      {
        const at::NoGradGuard no_grad;  // so that a scaling counts
        for (const TrainedParameter& one : trainable_parameters(*adapted.model)) at::Tensor(one.tensor).add_(0.05);
      }
      const TemporaryDirectory directory;
      write_peft(directory.path(), adapted, "default");
      const AdaptedModel again = loaded(directory.path(), "default");
      const at::Tensor expected = last_logits(*adapted.model);
      CHECK(largest(last_logits(*again.model) - expected) < 3e-5 * (1 + largest(expected)));
    }
  }
}

TEST_CASE("names in a file that match nothing are noted, and refused in a recipe") {
  const AdaptedModel adapted = loaded(peft_file("unmatched"), "default");
  CHECK(adapted.notes == std::vector<std::string>{"target_modules: w1", "target_modules: query_key_value",
                                                  "exclude_modules: w3", "modules_to_save: score",
                                                  "layers_to_transform: 7", "rank_pattern: w1", "rank_pattern: v_proj",
                                                  "alpha_pattern: w2"});
  const TemporaryDirectory directory;
  write_peft(directory.path(), adapted, "default");
  CHECK(last_logits(*loaded(directory.path(), "default").model).equal(last_logits(*adapted.model)));

  AdapterConfig recipe = adapted.config;
  recipe.file.clear();
  CHECK_THROWS_WITH(inject(load_pretrained(golden_model("default"), "float32"), recipe, 1),
                    Contains("[adapter] target_modules: 'w1' matches no module"));
}

TEST_CASE("a file of whose names none matches is refused by its own name") {
  const ChangedAdapter other("rows", unchanged, {{"target_modules", {"c_attn", "c_proj"}}});
  try {
    loaded(other.directory.path(), "tied");
    FAIL("was taken");
  } catch (const ModelError& e) {
    CHECK_THAT(e.what(), Contains("[model] " + (other.directory / "adapter_config.json").string()) &&
                             Contains("nothing to adapt: no module is meant by 'target_modules: c_attn', "
                                      "'target_modules: c_proj'"));
  }
}

TEST_CASE("tensors are found under the names that a saved state_dict, torch.compile and FSDP give them") {
  const auto renamed = [](const std::string& from, const std::string& to) {
    return [=](std::map<std::string, at::Tensor>& tensors) {
      std::map<std::string, at::Tensor> named;
      for (const auto& [key, tensor] : tensors) {
        std::string name = key;
        const size_t at = name.find(from);
        if (at != std::string::npos) name.replace(at, from.size(), to);
        named[name] = tensor;
      }
      CHECK(std::ranges::any_of(named, [&](const auto& item) { return !tensors.contains(item.first); }));
      tensors = named;
    };
  };
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {".weight", ".default.weight"},
           {"trainable_tokens_delta", "trainable_tokens_delta.default"},
           {"base_model.model.", "base_model.model._orig_mod."},
           {".self_attn.", "._fsdp_wrapped_module.self_attn._checkpoint_wrapped_module."}}) {
    INFO(to);
    const ChangedAdapter adapter("rows", renamed(from, to));
    CHECK(largest(last_logits(*loaded(adapter.directory.path(), "tied").model) - expected_logits("rows")) < 1e-5);
  }
}

TEST_CASE("what PEFT writes twice where the vocabulary was resized has to agree, with itself and with the base") {
  const std::string module = "base_model.model.lm_head.";
  const auto moved = [&](const std::string& key) {
    return [=](std::map<std::string, at::Tensor>& tensors) { tensors.at(key) = tensors.at(key) + 1; };
  };
  const auto refused = [](const std::string& name, const std::string& base, const auto& change) {
    const ChangedAdapter adapter(name, change);
    try {
      loaded(adapter.directory.path(), base);
    } catch (const ModelError& e) {
      return std::string(e.what());
    }
    return std::string("nothing");
  };
  CHECK_THAT(refused("resized_whole", "default", moved(module + "modules_to_save.weight")),
             Contains("differ; expected the same values of 'base_model.model.lm_head.weight'"));
  CHECK_THAT(refused("resized_whole", "default", moved(module + "original_module.weight")),
             Contains("'base_model.model.lm_head.original_module.weight' is another weight than the base's"));
  CHECK_THAT(refused("resized_rows", "tied", moved(module + "token_adapter.trainable_tokens_delta")),
             Contains("differs from what embed_tokens has there"));
  CHECK_THAT(refused("resized_rows", "tied", moved(module + "token_adapter.base_layer.weight")),
             Contains("is another weight than the base's"));
  CHECK_THAT(refused("resized_rows_apart", "default", moved(module + "weight")),
             Contains("is another weight than the base's"));
  // Files that have a trained module under the longer name alone.
  const ChangedAdapter only("resized_whole", [&](std::map<std::string, at::Tensor>& tensors) {
    tensors.erase(module + "weight");
    tensors.erase("base_model.model.model.embed_tokens.weight");
  });
  CHECK(largest(last_logits(*loaded(only.directory.path(), "default").model) - expected_logits("resized_whole")) <
        1e-5);
}

TEST_CASE("options that change nothing are passed over, unknown ones where a person says so, others never") {
  const auto with = [](const nlohmann::json& options, const std::vector<std::string>& ignored = {}) {
    const ChangedAdapter adapter("rows", unchanged, options);
    try {
      loaded(adapter.directory.path(), "tied", ignored);
    } catch (const ModelError& e) {
      return std::string(e.what());
    }
    return std::string("loaded");
  };
  CHECK(with({{"lora_dtype", "bfloat16"}, {"lorap_emb_lr", 1e-6}, {"lorap_lr_ratio", 16.0}}) == "loaded");
  CHECK_THAT(with({{"dial", 3}}), Contains("option 'dial' is 3, which is not supported") &&
                                      Contains("--ignore-option dial") && Contains("adapter.ignored_options"));
  CHECK(with({{"dial", 3}}, {"dial"}) == "loaded");
  CHECK_THAT(with({{"dial", 3}, {"knob", true}}, {"dial"}), Contains("option 'knob'"));
  CHECK_THAT(with({{"use_qalora", true}}, {"use_qalora"}), Contains("A reads pooled inputs"));
}

TEST_CASE("files that are not PEFT's safetensors are named for what they are") {
  const ChangedAdapter pickle("rows", unchanged);
  std::filesystem::rename(pickle.directory / "adapter_model.safetensors", pickle.directory / "adapter_model.bin");
  CHECK_THROWS_WITH(loaded(pickle.directory.path(), "tied"),
                    Contains("adapter_model.bin is a pickle") && Contains("save_pretrained writes safetensors"));
  // adapter_config.json as mlx_lm.lora writes it.
  const TemporaryDirectory mlx;
  write_bytes(mlx / "adapter_config.json",
              R"({"fine_tune_type": "lora", "num_layers": 16, "lora_parameters": {"rank": 8, "scale": 20.0}})");
  CHECK_THROWS_WITH(read_peft_config(mlx.path()), Contains("mlx-lm") && Contains("expected a PEFT adapter"));
}

// PEFT's dict form; its list, and a dict of embed_tokens, are supported.
TEST_CASE("an adapter that trained rows of the head alone is refused by that name") {
  const TemporaryDirectory directory;
  const auto with_rows = [&](const std::string& rows) {
    write_bytes(directory / "adapter_config.json", R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules":
      ["q_proj"], "trainable_token_indices": )" + rows +
                                                       "}");
    return read_peft_config(directory.path()).config.trainable_token_indices;
  };
  for (const char* rows : {R"({"lm_head": [1, 2]})", R"({"embed_tokens": [1], "lm_head": [1]})"}) {
    CHECK_THROWS_WITH(with_rows(rows), Contains("'trainable_token_indices' has rows of 'lm_head'") &&
                                           Contains("modules_to_save: [lm_head]"));
  }
  CHECK(with_rows(R"({"model.embed_tokens": [1, 2]})") == std::vector<int64_t>{1, 2});
  for (const char* rows : {"[9223372036854775807]", "[-1]", "[16777216]"}) {
    CHECK_THROWS_WITH(with_rows(rows),
                      Contains("'trainable_token_indices' has ") && Contains("expected ids of tokens"));
  }
}

TEST_CASE("tensors of any dtype are read or refused by name, also where one stands twice") {
  using Tensors = std::map<std::string, at::Tensor>&;
  const std::string layer = "base_model.model.model.layers.1.self_attn.q_proj.";
  const std::string name = layer + "lora_A.weight", twin = layer + "lora_A.default.weight";
  const auto load_changed = [](const std::function<void(Tensors)>& change) {
    const ChangedAdapter adapter("layers", change);
    loaded(adapter.directory.path(), "default");
  };
  CHECK_NOTHROW(load_changed([&](Tensors tensors) { tensors[name] = tensors[name].to(at::kFloat8_e4m3fn); }));
  CHECK_THROWS_WITH(load_changed([&](Tensors tensors) { tensors[name] = tensors[name].to(at::kLong); }),
                    Contains("'" + name + "' holds Long; expected F32, F16, BF16 or F8"));
  CHECK_NOTHROW(load_changed([&](Tensors tensors) { tensors[twin] = tensors[name].to(at::kDouble); }));
  CHECK_THROWS_WITH(load_changed([&](Tensors tensors) { tensors[twin] = tensors[name].to(at::kDouble) + 1; }),
                    Contains("differ; expected the same values"));
}

TEST_CASE("an adapter of a model whose vocabulary was resized brings its rows, and PEFT's logits with them") {
  const std::filesystem::path golden = source_dir() / "tests/golden/new_rows";
  for (const auto& [name, base] : std::vector<std::pair<std::string, std::string>>{
           {"whole", "default"}, {"rows", "tied"}, {"rows_apart", "default"}}) {
    INFO(name);
    AdapterConfig config = read_peft_config(golden / name).config;
    config.init_from = (golden / name).string();
    const HeadOptions head{.new_rows = peft_rows(golden / name, config)};
    CHECK(head.new_rows.rows == 51);
    const auto model = load_pretrained(golden_model(base), "float32", head);
    const AdaptedModel adapted = inject(model, config, 1);
    const SafetensorsFile expected(golden / name / "expected.safetensors");
    model->eval();
    const at::NoGradGuard no_grad;
    const at::Tensor logits = model->forward(expected.tensor("input_ids")).select(1, -1);
    CHECK(largest(logits - expected.tensor("logits")) < 1e-5 * (1 + largest(logits)));
    if (name == "rows_apart") {  // whose head's new rows only PEFT's copy of the base has
      CHECK_THROWS_WITH(expect_new_rows_trained(adapted), Contains("modules_to_save: [embed_tokens, lm_head]"));
    } else {
      CHECK_NOTHROW(expect_new_rows_trained(adapted));
    }
  }
  // A file of rows alone, without the base's.
  const ChangedAdapter rows("rows_apart", unchanged, {{"trainable_token_indices", {49}}});
  const NewRows missing = peft_rows(rows.directory.path(), read_peft_config(rows.directory.path()).config);
  CHECK_THROWS_WITH(missing.make("model.embed_tokens.weight", at::zeros({48, 16}), missing.rows - 48),
                    Contains("has no row 48 of 'model.embed_tokens'"));
  // Rows without columns take no bytes of a file.
  const ChangedAdapter empty("layers", [](std::map<std::string, at::Tensor>& tensors) {
    tensors["base_model.model.model.embed_tokens.weight"] = at::empty({int64_t{1} << 40, 0});
  });
  const NewRows none = peft_rows(empty.directory.path(), read_peft_config(empty.directory.path()).config);
  CHECK_THROWS_WITH(none.make("model.embed_tokens.weight", at::zeros({48, 16}), none.rows - 48),
                    Contains("has no row 48 of 'model.embed_tokens'"));
}

TEST_CASE("rows of new tokens are trained with the adapter: by themselves where the head is tied, else whole") {
  const auto with_new = [](const std::string& base) {
    return load_pretrained(golden_model(base), "float32",
                           {.new_rows = drawn_rows(51, NewRowsInit::kCovariance, 7), .new_tokens = {48, 49, 50}});
  };
  AdapterConfig config;
  config.rank = 2;
  config.target_modules = std::vector<std::string>{"q_proj"};
  config.trainable_token_indices = {3};
  CHECK(inject(with_new("tied"), config, 1).config.trainable_token_indices == std::vector<int64_t>{3, 48, 49, 50});
  CHECK_THROWS_WITH(inject(with_new("default"), config, 1), Contains("3 new tokens are not all trained") &&
                                                                Contains("modules_to_save: [embed_tokens, lm_head]"));
  config.trainable_token_indices.clear();
  config.modules_to_save = {"embed_tokens"};
  CHECK(inject(with_new("tied"), config, 1).config.trainable_token_indices.empty());
  CHECK_THROWS_WITH(inject(with_new("default"), config, 1), Contains("modules_to_save: [embed_tokens, lm_head]"));
  config.modules_to_save = {"embed_tokens", "lm_head"};
  const AdaptedModel adapted = inject(with_new("default"), config, 1);
  const TemporaryDirectory directory;
  write_peft(directory.path(), adapted, "default");
  AdapterConfig read = read_peft_config(directory.path()).config;
  CHECK(peft_rows(directory.path(), read).rows == 51);
  read.init_from = directory.path().string();
  const auto again =
      load_pretrained(golden_model("default"), "float32", {.new_rows = peft_rows(directory.path(), read)});
  inject(again, read, 1);
  CHECK(last_logits(*again).equal(last_logits(*adapted.model)));
}

TEST_CASE("DoRA's magnitudes are found under the names of a state_dict") {
  AdapterConfig config;
  config.method = "dora";
  config.rank = 2;
  config.target_modules = std::vector<std::string>{"q_proj", "down_proj"};
  const AdaptedModel adapted = inject(load_pretrained(golden_model("default"), "float32"), config, 3);
  {
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : trained_tensors(adapted)) at::Tensor(tensor).add_(0.1);
  }
  const TemporaryDirectory directory;
  write_peft(directory.path(), adapted, "default");
  NamedTensors own;
  {
    const SafetensorsFile file(directory / "adapter_model.safetensors");
    for (const auto& [name, entry] : file.entries()) own.emplace_back(name, file.tensor(name).clone());
  }
  for (const std::string suffix : {".weight", ".default.weight", ".default"}) {
    INFO(suffix);
    NamedTensors renamed;
    for (const auto& [name, tensor] : own) {
      renamed.emplace_back(name.ends_with("lora_magnitude_vector") ? name + suffix : name, tensor);
    }
    write_safetensors(directory / "adapter_model.safetensors", renamed);
    CHECK(last_logits(*loaded(directory.path(), "default").model).equal(last_logits(*adapted.model)));
  }
}

TEST_CASE("an adapter whose file holds what no adapter can is refused by the name of it") {
  const std::vector<std::pair<nlohmann::json, std::string>> cases = {
      {{{"r", "2"}}, "'r': "},
      {{{"r", 0}}, "'r' is 0"},
      {{{"r", int64_t{1} << 40}}, "'r' is 1099511627776"},
      {{{"rank_pattern", {{"q_proj", -1}}}}, "'rank_pattern.q_proj' is -1"},
      {{{"lora_alpha", nullptr}}, "'lora_alpha' is null"},
      {{{"lora_alpha", "8"}}, "'lora_alpha': "},
      {{{"use_rslora", "yes"}}, "'use_rslora': "},
      {{{"fan_in_fan_out", "x"}}, "'fan_in_fan_out': "}};
  for (const auto& [options, message] : cases) {
    INFO(options.dump());
    const ChangedAdapter adapter("rows", unchanged, options);
    CHECK_THROWS_WITH(loaded(adapter.directory.path(), "tied"), Contains("adapter_config.json") && Contains(message));
  }
  for (const float value : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::string changed;
    const ChangedAdapter adapter("rows", [&](std::map<std::string, at::Tensor>& tensors) {
      changed = tensors.begin()->first;
      tensors.begin()->second = tensors.begin()->second.clone();
      tensors.begin()->second.view(-1)[0] = value;
    });
    CHECK_THROWS_WITH(loaded(adapter.directory.path(), "tied"),
                      Contains("'" + changed + "' holds a value that is not finite"));
  }
}
