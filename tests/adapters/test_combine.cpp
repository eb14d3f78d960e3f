// Weighted combinations: PEFT's numbers, the error that is reported, and what is refused.

#include "lora/adapters/combine.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "lora/adapters/inject.h"
#include "lora/adapters/merge_tensors.h"
#include "lora/adapters/peft.h"
#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/adapters/adapted_model.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::filesystem::path combinations() { return source_dir() / "tests/golden/combinations"; }

struct GoldenSet {
  GoldenSet() : model(load_pretrained(golden_model("default"), "float32")), set(model) {
    for (const char* name : {"a", "b", "c"}) {
      AdapterConfig config = read_peft_config(combinations() / name).config;
      config.init_from = (combinations() / name).string();
      set.add(name, config, 0);
    }
  }
  std::shared_ptr<LlamaForCausalLM> model;
  AdapterSet set;
};

at::Tensor update_of(const AdaptedModule& module) {
  const at::NoGradGuard no_grad;
  return module.layer->merged_weight() - module.layer->weight_matrix();
}

// Σ wᵢ ΔWᵢ of a module, from the merged weights of each adapter.
std::map<std::string, at::Tensor> exact_sum(const AdapterSet& set, const WeightedNames& weighted) {
  std::map<std::string, at::Tensor> sums;
  for (const auto& [name, weight] : weighted) {
    for (const AdaptedModule& module : set.adapted(name).modules) {
      const at::Tensor update = (update_of(module) * weight).to(at::kDouble);
      at::Tensor& sum = sums[module.path];
      sum = sum.defined() ? sum + update : update;
    }
  }
  return sums;
}

}  // namespace

TEST_CASE("every combination type has PEFT's numbers") {
  GoldenSet loaded;
  const json golden = read_json(combinations() / "cases.json");
  const SafetensorsFile expected(combinations() / "expected.safetensors");
  for (size_t i = 0; i < golden["cases"].size(); ++i) {
    const json& one = golden["cases"][i];
    CAPTURE(one.dump());
    WeightedNames weighted;
    for (size_t k = 0; k < one["adapters"].size(); ++k) weighted.emplace_back(one["adapters"][k], one["weights"][k]);
    CombineOptions options;
    options.type = one["combination_type"];
    options.seed = golden["seed"];
    options.majority_sign = *value_of<MajoritySign>(one.value("majority_sign_method", "total"));
    if (one.contains("density")) options.density = one["density"].get<double>();
    if (one.contains("svd_rank")) options.svd_rank = one["svd_rank"].get<int64_t>();
    const CombinedAdapter combined = combine(loaded.set, weighted, options);
    size_t compared = 0;
    for (const AdaptedModule& module : combined.adapted.modules) {
      const at::Tensor wanted = expected.tensor(std::to_string(i) + "." + module.path);
      CAPTURE(module.path);
      CHECK(relative(update_of(module), wanted) < 1e-5);
      ++compared;
    }
    CHECK(compared == 3);
  }
}

TEST_CASE("the error that is reported is the distance from the weighted sum") {
  GoldenSet loaded;
  const WeightedNames weighted = {{"a", 0.7}, {"b", -0.2}};
  const auto sums = exact_sum(loaded.set, weighted);
  for (const std::string& type : combination_names().known) {
    CAPTURE(type);
    CombineOptions options;
    options.type = type;
    if (type.starts_with("ties") || type.starts_with("dare") || type.starts_with("magnitude")) options.density = 0.5;
    const CombinedAdapter combined = combine(loaded.set, weighted, options);
    double missed = 0, total = 0;
    REQUIRE(combined.modules.size() == combined.adapted.modules.size());
    for (size_t i = 0; i < combined.modules.size(); ++i) {
      const AdaptedModule& module = combined.adapted.modules[i];
      const at::Tensor& sum = sums.at(module.path);
      CHECK(combined.modules[i].path == module.path);
      CHECK(combined.modules[i].error == Approx(relative(update_of(module), sum)).margin(2e-6));
      missed += (update_of(module) - sum).pow(2).sum().item<double>();
      total += sum.pow(2).sum().item<double>();
    }
    CHECK(combined.error == Approx(std::sqrt(missed / total)).margin(2e-6));
    if (type == "cat") CHECK(combined.error < 1e-12);
    if (type == "svd") CHECK(combined.error > 1e-3);
  }
}

TEST_CASE("adapters of every method are combined by their own scaling, but DoRA's, which is not a product") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  AdapterSet set(model);
  WeightedNames weighted;
  for (const auto& [name, config] : every_method()) {
    set.add(name, config, 1);
    randomise(*model, 2);
    if (name != "dora") weighted.emplace_back(name, 0.5);
  }
  const auto sums = exact_sum(set, weighted);
  for (const AdaptedModule& module : combine(set, weighted, {.type = "cat"}).adapted.modules) {
    CHECK(relative(update_of(module), sums.at(module.path)) < 1e-5);
  }
  weighted.emplace_back("dora", 0.5);
  CHECK_THROWS_WITH(combine(set, weighted, {.type = "cat"}), Contains("'dora'") && Contains("merge it"));
}

TEST_CASE("svd of the whole rank is exact, and of a smaller one the best there is") {
  GoldenSet loaded;
  const WeightedNames weighted = {{"a", 1.0}, {"c", 0.5}};
  CombineOptions options{.type = "svd", .svd_rank = 6};
  CHECK(combine(loaded.set, weighted, options).error < 1e-6);
  options.svd_rank = 2;
  const auto sums = exact_sum(loaded.set, weighted);
  for (const CombinedModule& module : combine(loaded.set, weighted, options).modules) {
    const at::Tensor s = std::get<1>(at::linalg_svd(sums.at(module.path)));
    CHECK(module.rank == 2);
    CHECK(module.error == Approx((s.slice(0, 2).norm() / s.norm()).item<double>()).epsilon(1e-4).margin(1e-6));
  }
}

TEST_CASE("a combined adapter is written as PEFT's and read again as the same model") {
  GoldenSet loaded;
  const TemporaryDirectory directory;
  const CombinedAdapter combined = combine(loaded.set, {{"a", 0.7}, {"c", 0.3}}, {.type = "cat"});
  CHECK(loaded.set.active().empty());
  write_peft(directory.path(), combined.adapted, "default");
  attach(combined.adapted);
  const auto again = load_pretrained(golden_model("default"), "float32");
  AdapterConfig config = read_peft_config(directory.path()).config;
  config.init_from = directory.path().string();
  CHECK(inject(again, config, 0).modules.size() == 3);
  CHECK(logits(*again).equal(logits(*loaded.model)));
}

TEST_CASE("one adapter of weight one is itself under any exact type") {
  GoldenSet loaded;
  for (const char* type : {"cat", "svd", "linear"}) {
    CHECK(combine(loaded.set, {{"a", 1.0}}, {.type = type}).error < 1e-6);
  }
}

TEST_CASE("random pruning keeps its share, rescaled, and follows the seed") {
  at::Generator one = at::detail::createCPUGenerator(3), same = at::detail::createCPUGenerator(3),
                other = at::detail::createCPUGenerator(4);
  const at::Tensor t = at::ones({100, 100});
  const MergeRule rule{Prune::kRandom, false, 0.3};
  const at::Tensor kept = merge_tensors({t}, {1.0}, rule, one);
  CHECK(kept.equal(merge_tensors({t}, {1.0}, rule, same)));
  CHECK_FALSE(kept.equal(merge_tensors({t}, {1.0}, rule, other)));
  CHECK(kept.mean().item<double>() == Approx(1).epsilon(0.05));
  CHECK((kept > 0).to(at::kFloat).mean().item<double>() == Approx(0.3).epsilon(0.05));
}

TEST_CASE("what cannot be combined is refused by name") {
  GoldenSet loaded;
  const auto error = [&](const WeightedNames& weighted, const CombineOptions& options) {
    try {
      combine(loaded.set, weighted, options);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("combined");
  };
  CHECK_THAT(error({{"a", 1}, {"c", 1}}, {.type = "linear"}),
             Contains("'a' has 4") && Contains("'c' 2") && Contains("cat and svd"));
  CHECK_THAT(error({{"a", 1}, {"b", 1}}, {.type = "ties"}), Contains("needs a density"));
  CHECK_THAT(error({{"a", 1}, {"b", 1}}, {.type = "ties", .density = 0.0}), Contains("density is 0"));
  CHECK_THAT(error({{"a", 1}, {"b", 1}}, {.type = "cat", .density = 0.5}), Contains("cat does not"));
  CHECK_THAT(error({{"a", 1}, {"b", 1}}, {.type = "cat", .svd_rank = 2}), Contains("svd types"));
  CHECK_THAT(error({{"a", 1}, {"b", 1}}, {.type = "mean"}), Contains("'mean'"));
  CHECK_THAT(error({{"a", 1}, {"x", 1}}, {}), Contains("'x'") && Contains("loaded: a, b, c"));
  CHECK_THAT(error({{"a", 1}, {"a", 1}}, {}), Contains("twice"));
  CHECK_THAT(error({{"a", NAN}}, {}), Contains("finite"));
  CHECK_THAT(error({}, {}), Contains("no adapters"));
  AdapterConfig config = all_linear();
  config.modules_to_save = {"model.norm"};
  loaded.set.add("saved", config, 1);
  CHECK_THAT(error({{"a", 1}, {"saved", 1}}, {}), Contains("'saved'") && Contains("model.norm"));
}
