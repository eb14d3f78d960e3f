// AdaLoRA: every number of a short run of PEFT's, the adapter it saves, stopping and going on, and runs without room to
// prune.

#include "lora/adapters/methods/adalora.h"

#include <ATen/ATen.h>

#include "lora/adapters/merged.h"
#include "lora/adapters/peft.h"
#include "models/base/error.h"
#include "tests/temporary_directory.h"
#include "tests/training/golden_run.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::filesystem::path golden() { return source_dir() / "tests/golden/adalora"; }

AdapterConfig golden_adapter() {
  AdapterConfig adapter = read_peft_config(golden() / "start").config;
  adapter.init_from = (golden() / "start").string();
  return adapter;
}

GoldenRun golden_run(const json& expected, bool fused = true) {
  TrainingConfig config = golden_training(expected, static_cast<int64_t>(expected["steps"].size()));
  config.fused = fused;
  return {expected, golden_adapter(), config};
}

at::Tensor logits_last(LlamaForCausalLM& model, const json& rows) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> ids;
  for (const auto& row : rows) ids.push_back(at::tensor(row.get<std::vector<int64_t>>()));
  model.eval();
  return model.forward(at::stack(ids)).select(1, -1);
}

at::Tensor as_tensor(const json& rows) {
  std::vector<at::Tensor> parts;
  for (const auto& row : rows) parts.push_back(at::tensor(row.get<std::vector<float>>()));
  return at::stack(parts);
}

// The golden run's trained model, loaded into a fresh one from what write_peft made of `form`.
std::shared_ptr<LlamaForCausalLM> loaded_again(const AdaptedModel& form) {
  const TemporaryDirectory directory;
  write_peft(directory.path(), form, "base");
  AdapterConfig config = read_peft_config(directory.path()).config;
  config.init_from = directory.path().string();
  auto model = load_pretrained(golden_model("default"), "auto");
  inject(model, config, 1);
  return model;
}

}  // namespace

TEST_CASE("AdaLoRA takes the steps of PEFT's, and prunes what PEFT prunes") {
  const json expected = read_json(golden() / "expected.json");
  for (const bool fused : {false, true}) {
    GoldenRun run = golden_run(expected, fused);
    const AdaLoraConfig schedule = golden_adapter().adalora;
    const auto modules = static_cast<int64_t>(run.adapted.modules.size());
    for (const json& wanted : expected["steps"]) {
      const StepMetrics found = run.trainer->step();
      CAPTURE(fused, found.step);
      CHECK(std::abs(found.loss - wanted["loss"].get<double>()) < 1e-5);
      CHECK(std::abs(found.method["orth_loss"].get<double>() - wanted["orth_loss"].get<double>()) < 1e-5);
      CHECK(adalora_budget(schedule, 6 * modules, 2 * modules, found.step) == wanted["budget"]);
      const bool last = found.step == schedule.total_step - schedule.tfinal;
      CHECK(found.method.contains("rank_pattern") == last);
      if (!wanted["ranks"].is_null()) {
        int64_t total = 0;
        for (const AdaptedModule& module : run.adapted.modules) {
          const auto& layer = dynamic_cast<const AdaLoraLinear&>(*module.layer);
          CAPTURE(module.path);
          const auto rank = wanted["ranks"][module.path].get<int64_t>();
          CHECK(layer.lora_E.count_nonzero().item<int64_t>() == rank);
          total += rank;
          if (last) CHECK(found.method["rank_pattern"][module.path] == rank);
        }
        if (found.step <= schedule.total_step - schedule.tfinal) CHECK(found.method["rank_total"] == total);
      }
      if (!wanted["importance"].is_null()) {
        std::map<std::string, at::Tensor> state;
        for (const auto& [name, tensor] : run.trainer->hooks().state()) state[name] = tensor;
        for (const auto& [name, sum] : wanted["importance"].items()) {
          CAPTURE(name);
          const at::Tensor importance = state.at("exp_avg_ipt." + name) * state.at("exp_avg_unc." + name);
          CHECK(importance.sum().item<double>() == Approx(sum.get<double>()).epsilon(1e-3).margin(1e-12));
        }
      }
    }
    CHECK(run.trainer->hooks().state().empty());
    CHECK(largest_difference(logits_last(*run.model, expected["rows"]), as_tensor(expected["logits_last"])) < 1e-4);
  }
}

TEST_CASE("the exported AdaLoRA adapter is the one that PEFT saves") {
  const json expected = read_json(golden() / "expected.json");
  GoldenRun run = golden_run(expected);
  while (run.trainer->progress().step < run.trainer->total_steps()) run.trainer->step();
  const AdaptedModel form = find_method("adalora").finished(run.adapted);
  const TemporaryDirectory directory;
  write_peft(directory.path(), form, "base");

  const json found = read_json(directory / "adapter_config.json"),
             wanted = read_json(golden() / "end/adapter_config.json");
  for (const char* key : {"peft_type", "r", "init_r", "target_r", "tinit", "tfinal", "deltaT", "beta1", "beta2",
                          "orth_reg_weight", "total_step", "rank_pattern", "lora_alpha"}) {
    CAPTURE(key);
    CHECK(found[key] == wanted[key]);
  }
  const SafetensorsFile ours(directory / "adapter_model.safetensors"),
      theirs(golden() / "end/adapter_model.safetensors");
  CHECK(ours.entries().size() == theirs.entries().size());
  int64_t empty = 0;
  for (const auto& [name, entry] : theirs.entries()) {
    CAPTURE(name);
    CHECK(largest_difference(ours.tensor(name), theirs.tensor(name)) < 1e-4);
    empty += theirs.tensor(name).numel() == 0;
  }
  CHECK(empty == 9);  // three modules are pruned to rank 0

  // PEFT's own file is read the same, rank 0 included.
  AdapterConfig config = read_peft_config(golden() / "end").config;
  config.init_from = (golden() / "end").string();
  const auto model = load_pretrained(golden_model("default"), "auto");
  inject(model, config, 1);
  CHECK(largest_difference(logits_last(*model, expected["rows"]), as_tensor(expected["logits_last"])) < 5e-5);
}

TEST_CASE("pruned, as LoRA, merged or as it is, an AdaLoRA adapter computes the same") {
  const json expected = read_json(golden() / "expected.json");
  // After the last pruning, before the first, and between two, where zeroed triplets have begun to learn again.
  for (const int64_t steps : {16, 1, 9}) {
    CAPTURE(steps);
    GoldenRun run = golden_run(expected);
    while (run.trainer->progress().step < steps) run.trainer->step();
    const at::Tensor wanted = logits_last(*run.model, expected["rows"]);
    const auto largest = wanted.abs().max().item<double>();
    const auto check = [&](LlamaForCausalLM& model) {
      CHECK(largest_difference(logits_last(model, expected["rows"]), wanted) < 1e-5 * (1 + largest));
    };
    const Method& adalora = find_method("adalora");
    check(*loaded_again(run.adapted));
    const AdaptedModel pruned = adalora.finished(run.adapted);
    check(*loaded_again(pruned));
    check(*loaded_again(adalora.finished(pruned)));
    const AdaptedModel lora = adalora.as_lora(run.adapted);
    if (steps == 16) CHECK(lora.modules.size() == 11);
    if (steps == 1) CHECK(lora.modules.size() == 14);
    check(*loaded_again(lora));
    check(*loaded_again(adalora.as_lora(pruned)));
    std::map<std::string, at::Tensor> merged;
    for_each_merged_tensor(*run.model, [&](const std::string& name, const at::Tensor& t) { merged[name] = t; });
    LlamaForCausalLM plain(run.model->config(), at::kFloat,
                           [&](const std::string& name, at::IntArrayRef) { return merged.at(name); });
    check(plain);
  }
}

TEST_CASE("an adapter that was never trained is exported whole") {
  const json expected = read_json(golden() / "expected.json");
  const GoldenRun run = golden_run(expected);
  CHECK(find_method("adalora").finished(run.adapted).config.rank_pattern.empty());
  CHECK(find_method("adalora").as_lora(run.adapted).modules.size() == 14);
}

TEST_CASE("AdaLoRA resumed in any phase has the same bits") {
  const json expected = read_json(golden() / "expected.json");
  GoldenRun whole = golden_run(expected);
  std::vector<double> losses;
  for (int i = 0; i < 16; ++i) losses.push_back(whole.trainer->step().loss);
  // In the init phase, where triplets were just pruned, where they learn again, at the last choice, and after it.
  for (const int stop : {1, 6, 9, 12, 14}) {
    CAPTURE(stop);
    GoldenRun first = golden_run(expected), second = golden_run(expected);
    for (int i = 0; i < stop; ++i) first.trainer->step();
    const auto copy = [](const auto& from, const auto& to) {
      const at::NoGradGuard no_grad;
      REQUIRE(from.size() == to.size());
      for (size_t i = 0; i < from.size(); ++i) at::Tensor(to[i].second).copy_(from[i].second);
    };
    copy(trained_tensors(first.adapted), trained_tensors(second.adapted));
    copy(first.trainer->optimizer().state(), second.trainer->optimizer().state());
    second.trainer->resume(first.trainer->progress());
    copy(first.trainer->hooks().state(), second.trainer->hooks().state());
    for (int i = stop; i < 16; ++i) CHECK(second.trainer->step().loss == losses[static_cast<size_t>(i)]);
    const auto a = trainable_parameters(*second.model), b = trainable_parameters(*whole.model);
    for (size_t i = 0; i < a.size(); ++i) CHECK(a[i].tensor.equal(b[i].tensor));
  }
}

TEST_CASE("a schedule without room to prune is refused with the reason") {
  const json expected = read_json(golden() / "expected.json");
  const auto start = [&](const std::function<void(AdaLoraConfig&)>& change, int64_t steps) {
    AdapterConfig adapter = golden_adapter();
    change(adapter.adalora);
    GoldenRun(expected, adapter, golden_training(expected, steps));
  };
  CHECK_THROWS_WITH(start([](AdaLoraConfig& c) { c.target_r = 6; }, 16),
                    Contains("adalora.target_r") && Contains("84"));
  CHECK_THROWS_AS(start([](AdaLoraConfig& c) { c.target_r = 7; }, 16), RecipeError);
  CHECK_THROWS_WITH(start([](AdaLoraConfig& c) { c.tfinal = 14; }, 16), Contains("adalora.tfinal") && Contains("16"));
  CHECK_THROWS_WITH(start([](AdaLoraConfig& c) { c.tinit = 20; }, 16), Contains("adalora.tinit"));
  CHECK_THROWS_WITH(start([](AdaLoraConfig& c) { c.delta_t = 12; }, 16), Contains("adalora.delta_t"));
  CHECK_THROWS_WITH(start([](AdaLoraConfig& c) { c.tinit = c.tfinal = 0, c.delta_t = 1; }, 1), Contains("delta_t"));
  CHECK_NOTHROW(start([](AdaLoraConfig& c) { c.delta_t = 11; }, 16));
  CHECK_NOTHROW(start([](AdaLoraConfig& c) { c.tinit = c.tfinal = 0, c.delta_t = 1; }, 2));
}

TEST_CASE("an AdaLoRA adapter that is pruned already cannot start another AdaLoRA run") {
  AdapterConfig adapter = golden_adapter();
  adapter.init_from = (golden() / "end").string();
  const auto model = load_pretrained(golden_model("default"), "auto");
  CHECK_THROWS_WITH(inject(model, adapter, 1), Contains("pruned") && Contains("--format lora"));
}

TEST_CASE("an adapter_config.json whose pattern does not fit is refused") {
  const TemporaryDirectory directory;
  const auto refused = [&](const std::string& key, const json& value) {
    json config = read_json(golden() / "end/adapter_config.json");
    config[key] = value;
    write_bytes(directory / "adapter_config.json", config.dump());
    CHECK_THROWS_AS(read_peft_config(directory.path()), ModelError);
  };
  refused("rank_pattern", {{"model.layers.0.mlp.up_proj.lora_E", {true, false}}});
  refused("rank_pattern", {{"model.layers.0.mlp.up_proj", {true, true, true, true, true, true}}});
  refused("rank_pattern", {{"model.layers.0.mlp.up_proj.lora_E", 3}});
  refused("rank_pattern", "all");
  refused("init_r", "many");
  refused("init_r", 0);
}
