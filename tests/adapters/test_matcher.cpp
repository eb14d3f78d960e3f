// Module matching: PEFT's own choice on every kind of pattern, and an error where PEFT would be silent.

#include "lora/adapters/matcher.h"

#include <map>

#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

std::vector<ModulePath> llama_modules(int layers) {
  std::vector<ModulePath> modules = {
      {"model", false, false}, {"model.embed_tokens", false, false}, {"model.layers", false, false}};
  for (int i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i);
    modules.push_back({layer, false, false});
    modules.push_back({layer + ".self_attn", false, false});
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      modules.push_back({layer + ".self_attn." + name, true, false});
    }
    modules.push_back({layer + ".mlp", false, false});
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      modules.push_back({layer + ".mlp." + name, true, false});
    }
    modules.push_back({layer + ".input_layernorm", false, false});
  }
  modules.push_back({"model.norm", false, false});
  modules.push_back({"lm_head", true, true});
  return modules;
}

ModulePatterns patterns(const json& value) {
  if (value == "all-linear") return AllLinear{};
  if (value.is_string()) return value.get<std::string>();
  return value.get<std::vector<std::string>>();
}

AdapterConfig config_from(const ordered_json& options) {
  AdapterConfig config;
  config.rank = 8;
  config.alpha = 16;
  for (const auto& item : options.items()) {
    const auto& value = item.value();
    if (item.key() == "target_modules") config.target_modules = patterns(value);
    if (item.key() == "exclude_modules") config.exclude_modules = patterns(value);
    if (item.key() == "layers_to_transform") value.get_to(config.layers_to_transform);
    if (item.key() == "modules_to_save") value.get_to(config.modules_to_save);
    if (item.key() == "rank_pattern") {
      for (const auto& entry : value.items()) config.rank_pattern.emplace_back(entry.key(), entry.value());
    }
    if (item.key() == "alpha_pattern") {
      for (const auto& entry : value.items()) config.alpha_pattern.emplace_back(entry.key(), entry.value());
    }
  }
  return config;
}

AdapterConfig targeting(ModulePatterns targets) {
  AdapterConfig config;
  config.target_modules = std::move(targets);
  return config;
}

using List = std::vector<std::string>;

}  // namespace

TEST_CASE("modules, ranks and alphas are those that PEFT picks") {
  std::ifstream in(source_dir() / "tests/golden/peft_matches.json");
  const ordered_json golden = ordered_json::parse(in);
  for (const auto& expected : golden["cases"]) {
    INFO(expected["options"].dump());
    std::map<std::string, std::pair<int64_t, double>> found, wanted;
    for (const auto& target :
         match_modules(llama_modules(golden["layers"]), config_from(expected["options"])).targets) {
      found[target.path] = {target.rank, target.alpha};
    }
    for (const auto& item : expected["modules"].items()) wanted[item.key()] = {item.value()[0], item.value()[1]};
    CHECK(found == wanted);
  }
}

TEST_CASE("all patterns of a recipe that match nothing are in one answer") {
  const auto modules = llama_modules(2);
  AdapterConfig config = targeting(List{"q_proj", "w1"});
  config.exclude_modules = List{"zzz"};
  config.rank_pattern = {{"nope", 4}};
  config.modules_to_save = {"scores"};
  CHECK_THROWS_WITH(match_modules(modules, config), Contains("target_modules: 'w1' matches no module") &&
                                                        Contains("\n[adapter] exclude_modules: 'zzz'") &&
                                                        Contains("modules_to_save: 'scores'") &&
                                                        Contains("rank_pattern: 'nope' matches no module") &&
                                                        Contains("the adapted linear layers are q_proj"));
}

TEST_CASE("every pattern that matches nothing is an error with the nearest name") {
  const auto modules = llama_modules(2);
  CHECK_THROWS_WITH(match_modules(modules, targeting(List{"q_proj", "v_prj"})),
                    Contains("target_modules: 'v_prj' matches no module") && Contains("v_proj"));
  CHECK_THROWS_WITH(match_modules(modules, targeting(std::string("q_proj"))), Contains("'q_proj' matches no module"));
  AdapterConfig config = targeting(List{"q_proj"});
  config.exclude_modules = List{"kproj"};
  CHECK_THROWS_WITH(match_modules(modules, config), Contains("exclude_modules: 'kproj'") && Contains("k_proj"));
  config = targeting(List{"q_proj"});
  config.rank_pattern = {{"v_proj", 4}};
  CHECK_THROWS_WITH(match_modules(modules, config), Contains("rank_pattern: 'v_proj'"));
  config = targeting(List{"q_proj"});
  config.alpha_pattern = {{"layers.9.", 4}};
  CHECK_THROWS_WITH(match_modules(modules, config), Contains("alpha_pattern"));
  config = targeting(List{"q_proj"});
  config.modules_to_save = {"lm_hed"};
  CHECK_THROWS_WITH(match_modules(modules, config), Contains("modules_to_save: 'lm_hed'") && Contains("lm_head"));
  config = targeting(List{"q_proj"});
  config.layers_to_transform = {1, 2};
  CHECK_THROWS_WITH(match_modules(modules, config), Contains("layer 2"));
  config = targeting(List{"q_proj"});
  config.exclude_modules = List{"q_proj"};
  CHECK_THROWS_WITH(match_modules(modules, config), Contains("nothing is left to adapt"));
}

TEST_CASE("modules_to_save means what ends so, as PEFT has it") {
  AdapterConfig config = targeting(List{"q_proj"});
  config.modules_to_save = {"norm", "s.1.mlp"};
  CHECK(match_modules(llama_modules(2), config).saved_modules ==
        List{"model.layers.0.input_layernorm", "model.layers.1.mlp", "model.layers.1.input_layernorm", "model.norm"});
}

TEST_CASE("layers_pattern says which numbers are layers, and a whole path is meant whatever its layer") {
  AdapterConfig config = targeting(List{"q_proj", "model.layers.0.mlp.up_proj"});
  config.layers_to_transform = {1};
  config.layers_pattern = {"blocks", "layers"};
  const auto targets = match_modules(llama_modules(2), config).targets;
  REQUIRE(targets.size() == 2);
  CHECK(targets[0].path == "model.layers.0.mlp.up_proj");
  CHECK(targets[1].path == "model.layers.1.self_attn.q_proj");
  config.layers_pattern = {"blocks"};
  CHECK_THROWS_WITH(match_modules(llama_modules(2), config), Contains("layer 1 has no module"));
  config.layers_to_transform.clear();
  CHECK_THROWS_WITH(match_modules(llama_modules(2), config), Contains("layers_pattern"));
}

TEST_CASE("a target that is not a linear layer is refused") {
  CHECK_THROWS_WITH(match_modules(llama_modules(1), targeting(List{"embed_tokens"})),
                    Contains("'model.embed_tokens' is not a linear layer"));
}

TEST_CASE("a broken or runaway expression is an error, not a crash") {
  CHECK_THROWS_WITH(match_modules(llama_modules(1), targeting(std::string(".*(q_proj"))),
                    Contains("breaks at character"));
  CHECK_THROWS_AS(match_modules(llama_modules(1), targeting(std::string("((a|o|m|d|e|l|.)+)+X"))), Error);
}
