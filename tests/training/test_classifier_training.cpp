// Training a classifier: the loss that transformers has, labels that can be learnt, and the same bits after a stop.

#include <ATen/ATen.h>

#include "lora/adapters/inject.h"
#include "lora/training/trainer.h"
#include "models/base/error.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden_texts.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

const LabelNames kNames = {"even", "odd", "none"};

// Texts of 3 to 15 tokens, whose label is in their second token.
Dataset make_texts(int64_t count) {
  Dataset dataset;
  for (int64_t i = 0; i < count; ++i) {
    Sample sample;
    sample.label = static_cast<int32_t>(i * i % 3);
    const int64_t length = 3 + i * 7 % 13;
    for (int64_t t = 0; t < length; ++t) sample.ids.push_back(static_cast<int32_t>(3 + (i * 5 + t * 3) % 40));
    sample.ids[1] = 44 + sample.label;
    sample.supervised.assign(sample.ids.size(), 0);
    sample.supervised.back() = 1;
    dataset.add(sample);
  }
  return dataset;
}

TrainingConfig classifier_config() {
  TrainingConfig config;
  config.max_steps = 12;
  config.batch_size = 5;
  config.max_length = 32;
  config.packing = false;
  config.learning_rate = 1e-2;
  config.lr_schedule = "constant";
  return config;
}

struct ClassifierRun {
  explicit ClassifierRun(const TrainingConfig& config, const std::string& method = "lora", double dropout = 0)
      : train(make_texts(24)), validation(make_texts(9)) {
    model = load_pretrained(golden_model("default"), "auto", {kNames, 5});
    AdapterConfig adapter;
    adapter.method = method;
    if (method != "full") adapter.target_modules = AllLinear{};
    adapter.dropout = dropout;
    adapted = inject(model, adapter, config.seed);
    trainer = std::make_unique<Trainer>(*model, config, RowCursor(train, config, /*shuffle=*/true), &validation);
  }
  std::vector<at::Tensor> weights() const {
    std::vector<at::Tensor> copies;
    for (const auto& [path, tensor, role] : trainable_parameters(*model)) copies.push_back(tensor.detach().clone());
    return copies;
  }
  Dataset train, validation;
  std::shared_ptr<LlamaForCausalLM> model;
  AdaptedModel adapted;
  std::unique_ptr<Trainer> trainer;
};

bool same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  bool equal = a.size() == b.size();
  for (size_t i = 0; equal && i < a.size(); ++i) equal = a[i].equal(b[i]);
  return equal;
}

}  // namespace

TEST_CASE("labels are learnt, with an adapter and by full fine-tuning") {
  for (const char* method : {"lora", "full"}) {
    TrainingConfig config = classifier_config();
    config.max_steps = 60;
    if (method == std::string("full")) config.learning_rate = 3e-3;
    ClassifierRun run(config, method);
    const Evaluation before = run.trainer->evaluate();
    CHECK(before.confusion.accuracy() < 0.8);
    while (run.trainer->progress().step < 60) run.trainer->step();
    const Evaluation after = run.trainer->evaluate();
    CAPTURE(method, before.loss, after.loss);
    CHECK(after.loss < 0.3 * before.loss);
    CHECK(after.confusion.accuracy() == 1);
    CHECK(after.confusion.macro_f1() == 1);
    CHECK(after.confusion.samples(0) == 3);
  }
}

TEST_CASE("the loss is the mean over samples of what transformers computes, of any length and in any packing") {
  const GoldenTexts texts("classifier");
  Dataset dataset;
  for (size_t i = 0; i < texts.labels.size(); ++i) {
    Sample sample;
    sample.ids = texts.expected["input_ids"][i].get<std::vector<int32_t>>();
    sample.supervised.assign(sample.ids.size(), 0);
    sample.supervised.back() = 1;
    sample.label = static_cast<int32_t>(texts.labels[i]);
    dataset.add(sample);
  }
  for (const bool packing : {false, true}) {
    const auto model =
        load_pretrained(golden_model("classifier"), "auto", {read_model_config(golden_model("classifier")).labels});
    AdapterConfig adapter;
    adapter.target_modules = AllLinear{};
    inject(model, adapter, 1);
    TrainingConfig config = classifier_config();
    config.packing = packing;
    Trainer trainer(*model, config, RowCursor(dataset, config, /*shuffle=*/true), &dataset);
    CHECK(trainer.evaluate().loss == Approx(texts.loss("plain")).epsilon(1e-5));
    const StepMetrics step = trainer.step();
    CHECK(step.loss == Approx(texts.loss("plain")).epsilon(1e-5));
    CHECK(step.supervised_tokens == 5);
  }
}

TEST_CASE("a classifier's step does not depend on how it is split into passes") {
  TrainingConfig config = classifier_config();
  config.micro_batch_size = 5;
  ClassifierRun whole(config);
  config.micro_batch_size = 1;
  ClassifierRun split(config);
  for (int i = 0; i < 6; ++i) {
    const StepMetrics a = whole.trainer->step(), b = split.trainer->step();
    CHECK(a.loss == Approx(b.loss).epsilon(1e-5));
    CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(1e-4));
  }
}

TEST_CASE("the fused and the plain path train a classifier alike") {
  TrainingConfig config = classifier_config();
  ClassifierRun fused(config);
  config.fused = false;
  ClassifierRun plain(config);
  for (int i = 0; i < 6; ++i) {
    const StepMetrics a = fused.trainer->step(), b = plain.trainer->step();
    CHECK(a.loss == Approx(b.loss).epsilon(1e-4));
    CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(1e-3));
  }
}

TEST_CASE("the head learns at its own rate and an adapter trains it whole") {
  TrainingConfig config = classifier_config();
  config.learning_rates = {{"head", 0.0}};
  ClassifierRun frozen(config);
  REQUIRE(frozen.trainer->groups().size() == 2);
  CHECK(frozen.trainer->groups()[0].name == "head");
  CHECK(frozen.trainer->groups()[0].parameters.size() == 1);
  CHECK(frozen.trainer->groups()[0].parameters[0].first == "score.weight");
  CHECK(frozen.trainer->groups()[1].name == "adapter");
  const at::Tensor before = frozen.model->score->weight_matrix().detach().clone();
  frozen.trainer->step();
  CHECK(frozen.model->score->weight_matrix().equal(before));
  config.learning_rates = {{"head", 1e-2}};
  ClassifierRun trained(config);
  trained.trainer->step();
  CHECK_FALSE(trained.model->score->weight_matrix().equal(before));
  CHECK(trained.adapted.saved_modules == std::vector<std::string>{"score"});
}

TEST_CASE("a classifier's resumed run has the same bits") {
  TrainingConfig config = classifier_config();
  config.packing = true;
  config.learning_rates = {{"head", 3e-3}};
  for (const char* method : {"lora", "full"}) {
    const double dropout = method == std::string("lora") ? 0.2 : 0;
    ClassifierRun whole(config, method, dropout), first(config, method, dropout), second(config, method, dropout);
    for (int i = 0; i < 12; ++i) whole.trainer->step();
    for (int i = 0; i < 5; ++i) first.trainer->step();
    {
      const at::NoGradGuard no_grad;
      const auto from = trainable_parameters(*first.model), to = trainable_parameters(*second.model);
      for (size_t i = 0; i < from.size(); ++i) at::Tensor(to[i].tensor).copy_(from[i].tensor);
      const auto moments = first.trainer->optimizer().state(), copies = second.trainer->optimizer().state();
      for (size_t i = 0; i < moments.size(); ++i) at::Tensor(copies[i].second).copy_(moments[i].second);
    }
    second.trainer->resume(first.trainer->progress());
    for (int i = 5; i < 12; ++i) second.trainer->step();
    CHECK(same(second.weights(), whole.weights()));
    const Evaluation a = second.trainer->evaluate(), b = whole.trainer->evaluate();
    CHECK(a.loss == b.loss);
    CHECK(a.confusion.counts() == b.confusion.counts());
  }
}

TEST_CASE("accuracy, precision, recall and F1 are those of scikit-learn") {
  // sklearn.metrics on y = [0,0,0,1,1,2,2,2,2,4], p = [0,0,1,1,2,2,2,2,0,3] with zero_division=0.
  Confusion confusion(6);
  const int64_t wanted[] = {0, 0, 0, 1, 1, 2, 2, 2, 2, 4}, predicted[] = {0, 0, 1, 1, 2, 2, 2, 2, 0, 3};
  for (int i = 0; i < 10; ++i) confusion.add(wanted[i], predicted[i]);
  CHECK(confusion.accuracy() == Approx(0.6));
  CHECK(confusion.macro_f1() == Approx(0.3833333333333333));
  CHECK(confusion.f1(0) == Approx(2.0 / 3));
  CHECK(confusion.precision(2) == Approx(0.75));
  CHECK(confusion.recall(1) == Approx(0.5));
  CHECK(confusion.recall(3) == 0);
  CHECK(confusion.precision(4) == 0);
  CHECK(confusion.f1(5) == 0);
  CHECK(confusion.samples(2) == 4);
  CHECK(confusion.predictions(0) == 3);
  CHECK(confusion.count(2, 0) == 1);
  CHECK(Confusion().empty());
}
