// rsLoRA, LoRA+, DoRA, PiSSA and OLoRA against PEFT: the same output, gradients and course of training from the same
// start, and adapters that both read. tests/golden/peft is made by scripts/make_golden.py.

#include <ATen/ATen.h>

#include "lora/adapters/inject.h"
#include "lora/adapters/methods/lora.h"
#include "lora/adapters/peft.h"
#include "lora/training/adamw.h"
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

std::filesystem::path peft_golden(const std::string& name) { return source_dir() / "tests/golden/peft" / name; }

AdapterConfig starting_with(const std::string& init, bool use_rslora = false) {
  AdapterConfig config;
  config.rank = 3;
  config.alpha = 4;
  config.use_rslora = use_rslora;
  config.target_modules = std::vector<std::string>{"q_proj", "down_proj"};
  config.init = init;
  return config;
}

AdapterConfig going_on_from(const std::filesystem::path& directory) {
  AdapterConfig config = read_peft_config(directory).config;
  config.init_from = directory.string();
  return config;
}

at::Tensor to_tensor(const nlohmann::json& rows) {
  const auto values = rows.get<std::vector<std::vector<double>>>();
  std::vector<at::Tensor> tensors;
  for (const auto& row : values) tensors.push_back(at::tensor(row, at::kDouble));
  return at::stack(tensors);
}

struct Run {
  Run(const std::string& base, const AdapterConfig& adapter, double loraplus_lr_ratio, bool fused)
      : model(load_pretrained(golden_model(base), "float32")),
        adapted(inject(model, adapter, 1)),
        plan{.fused = fused} {
    TrainingConfig config;
    config.learning_rate = 5e-3;
    config.loraplus_lr_ratio = loraplus_lr_ratio;
    optimizer.emplace(make_parameter_groups(trainable_parameters(*model), config), config);
  }
  double step() {
    optimizer->zero_grad();
    const at::Tensor loss = mean_loss(*model, plan);
    loss.backward();
    optimizer->step(1.0);
    return loss.item<double>();
  }
  std::shared_ptr<LlamaForCausalLM> model;
  AdaptedModel adapted;
  ExecutionPlan plan;
  std::optional<AdamW> optimizer;
};

void check_losses(Run& run, const nlohmann::json& expected) {
  for (const double loss : expected.at("losses")) CHECK(run.step() == Approx(loss).epsilon(2e-6));
  CHECK(largest(last_logits(*run.model, run.plan).to(at::kDouble) - to_tensor(expected.at("logits_last"))) < 2e-5);
}

}  // namespace

TEST_CASE("rsLoRA, DoRA and LoRA+ compute and learn what they do in PEFT") {
  const std::string name = GENERATE("rslora", "dora", "dora_biases", "dora_loraplus");
  const bool fused = GENERATE(false, true);
  CAPTURE(name, fused);
  const nlohmann::json expected = read_json(peft_golden(name) / "expected.json");
  Run run(expected.at("model"), going_on_from(peft_golden(name)), expected.at("loraplus_lr_ratio"), fused);
  CHECK(largest(last_logits(*run.model, run.plan).to(at::kDouble) - to_tensor(expected.at("logits_first"))) < 1e-5);

  mean_loss(*run.model, run.plan).backward();
  const SafetensorsFile grads(peft_golden(name) / "grads.safetensors");
  const auto trained = trainable_parameters(*run.model);
  CHECK(trained.size() == grads.entries().size());
  for (const auto& [path, parameter, role] : trained) {
    INFO(path);
    const at::Tensor wanted = grads.tensor(path);
    CHECK(largest(parameter.grad() - wanted) < 1e-6 + 1e-5 * largest(wanted));
  }
  check_losses(run, expected);
}

TEST_CASE("PiSSA and OLoRA learn from the base's weights what they do in PEFT, and leave the base alone") {
  const std::string name = GENERATE("pissa", "pissa_rslora", "olora");
  const bool fused = GENERATE(false, true);
  CAPTURE(name, fused);
  const nlohmann::json expected = read_json(peft_golden(name) / "expected.json");
  const AdapterConfig config = starting_with(name.substr(0, name.find('_')), name.ends_with("rslora"));
  Run run(expected.at("model"), config, 1, fused);
  const auto plain = load_pretrained(golden_model("default"), "float32");
  CHECK(largest(last_logits(*run.model, run.plan) - last_logits(*plain)) < 1e-5);
  check_losses(run, expected);
  for (const AdaptedModule& module : run.adapted.modules) {
    const auto& original = *plain->named_parameters().find(module.path + ".weight");
    CHECK(module.layer->weight_matrix().equal(original));
  }

  const TemporaryDirectory directory;
  write_peft(directory.path(), run.adapted, "default");
  const AdapterConfig ours = read_peft_config(directory.path()).config;
  const AdapterConfig theirs = read_peft_config(peft_golden(name)).config;
  CHECK(ours.rank == theirs.rank);
  CHECK(ours.alpha == theirs.alpha);
  CHECK(ours.init == theirs.init);
  for (const auto& file : {directory.path(), peft_golden(name)}) {
    Run loaded("default", going_on_from(file), 1, fused);
    CHECK(largest(last_logits(*loaded.model).to(at::kDouble) - to_tensor(expected.at("logits_last"))) < 2e-5);
  }
}

TEST_CASE("an adapter is written under the names that PEFT gives its tensors") {
  const std::string name = GENERATE("rslora", "dora", "pissa");
  Run run("default", going_on_from(peft_golden(name)), 1, true);
  const TemporaryDirectory directory;
  write_peft(directory.path(), run.adapted, "default");
  const SafetensorsFile ours(directory / "adapter_model.safetensors");
  const SafetensorsFile theirs(peft_golden(name) / "adapter_model.safetensors");
  CHECK(ours.entries().size() == theirs.entries().size());
  for (const auto& [key, entry] : theirs.entries()) CHECK(ours.tensor(key).equal(theirs.tensor(key)));
}

TEST_CASE("PiSSA's start is the best of its rank, and the fast one comes near to it") {
  const auto distance = [](const std::string& init) {
    Run run("default", starting_with(init), 1, true);
    double sum = 0;
    for (const AdaptedModule& module : run.adapted.modules) {
      const auto& layer = dynamic_cast<const LoraLinear&>(*module.layer);
      const double s = 4.0 / 3;
      sum += (layer.weight_matrix() - s * at::mm(layer.start_B, layer.start_A)).square().sum().item<double>();
    }
    return sum;
  };
  double best = 0;
  const auto plain = load_pretrained(golden_model("default"), "float32");
  for (const auto& parameter : plain->named_parameters()) {
    if (!parameter.key().ends_with("q_proj.weight") && !parameter.key().ends_with("down_proj.weight")) continue;
    const at::Tensor values = at::linalg_svdvals(parameter.value());
    best += values.slice(0, 3).square().sum().item<double>();
  }
  CHECK(distance("pissa") == Approx(best).epsilon(1e-4));
  CHECK(distance("pissa_niter_16") == Approx(best).epsilon(1e-2));
  CHECK(distance("pissa_niter_0") > 1.001 * best);
}

TEST_CASE("a start from the base's weights is exactly the same again, and a loaded one takes its place") {
  for (const char* init : {"pissa", "pissa_niter_4", "olora"}) {
    Run first("default", starting_with(init), 1, true), second("default", starting_with(init), 1, true);
    for (int i = 0; i < 3; ++i) CHECK(first.step() == second.step());
    const TemporaryDirectory directory;
    write_safetensors(directory / "a.safetensors", trained_tensors(first.adapted));
    const auto model = load_pretrained(golden_model("default"), "float32");
    const AdaptedModel adapted = inject(model, starting_with(init), 1, /*fresh=*/false);
    load_trained_tensors(directory / "a.safetensors", adapted);
    CHECK(last_logits(*model).equal(last_logits(*first.model)));
    const auto reference = trained_tensors(first.adapted);
    const auto found = trained_tensors(adapted);
    for (size_t i = 0; i < reference.size(); ++i) CHECK(found[i].second.equal(reference[i].second));
  }
}

TEST_CASE("a DoRA adapter without its magnitude, and one on a base that PEFT changed, are refused by name") {
  const TemporaryDirectory directory;
  Run run("default", going_on_from(peft_golden("dora")), 1, true);
  write_peft(directory.path(), run.adapted, "default");
  NamedTensors tensors;
  for (const auto& [name, tensor] : trained_tensors(run.adapted)) {
    if (!name.ends_with("layers.1.mlp.down_proj.lora_magnitude_vector")) tensors.emplace_back(name, tensor);
  }
  write_safetensors(directory / "adapter_model.safetensors", tensors);
  const auto load = [&](const AdapterConfig& config) { Run("default", config, 1, true); };
  CHECK_THROWS_WITH(load(going_on_from(directory.path())),
                    Contains("missing: 'base_model.model.model.layers.1.mlp.down_proj.lora_magnitude_vector'"));

  AdapterConfig lora = going_on_from(peft_golden("dora"));
  lora.method = "lora";
  CHECK_THROWS_WITH(load(lora), Contains("method dora; expected lora"));
  AdapterConfig pissa = going_on_from(peft_golden("rslora"));
  pissa.init = "pissa";
  CHECK_THROWS_WITH(load(pissa), Contains("'init_lora_weights' is kaiming; expected init pissa"));

  write_bytes(directory / "adapter_config.json", R"({"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"})");
  CHECK_THROWS_WITH(read_peft_config(directory.path()), Contains("path_initial_model_for_weight_conversion"));
}

TEST_CASE("an adapter that PEFT did not convert continues from the pair that the base gives") {
  for (const char* init : {"pissa", "olora"}) {
    const Run run("default", starting_with(init), 1, true);
    {
      const at::NoGradGuard no_grad;
      for (const AdaptedModule& module : run.adapted.modules) {
        for (at::Tensor& parameter : module.layer->parameters(/*recurse=*/false)) parameter.add_(0.01);
      }
    }
    // As PEFT writes it: the trained halves alone.
    const TemporaryDirectory directory;
    NamedTensors tensors;
    for (const auto& [name, tensor] : trained_tensors(run.adapted)) {
      const int64_t side = name.ends_with("lora_A.weight") ? 0 : 1;
      tensors.emplace_back(name, tensor.narrow(side, 0, tensor.size(side) / 2).contiguous());
    }
    write_safetensors(directory / "adapter_model.safetensors", tensors);
    AdapterConfig config = starting_with(init);
    write_bytes(directory / "adapter_config.json", nlohmann::json{{"peft_type", "LORA"},
                                                                  {"r", config.rank},
                                                                  {"lora_alpha", config.alpha},
                                                                  {"target_modules", {"q_proj", "down_proj"}},
                                                                  {"init_lora_weights", init}}
                                                       .dump());
    config = read_peft_config(directory.path()).config;
    CHECK(config.init == init);
    config.init_from = directory.path().string();
    const Run again("default", config, 1, true);
    const auto wanted = trained_tensors(run.adapted);
    const auto found = trained_tensors(again.adapted);
    REQUIRE(found.size() == wanted.size());
    for (size_t i = 0; i < found.size(); ++i) CHECK(found[i].second.equal(wanted[i].second));
  }
}

TEST_CASE("a rank that the weight cannot have is refused") {
  AdapterConfig config = starting_with("pissa");
  config.rank = 17;
  CHECK_THROWS_WITH(Run("default", config, 1, true),
                    Contains("rank 17 of 'model.layers.0.self_attn.q_proj'") && Contains("16 × 16"));
}
