// The training step: exact accumulation, clipping, schedules, and that a resumed run has the same bits.

#include "lora/training/trainer.h"

#include <ATen/ATen.h>

#include "lora/training/loop.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/training/small_run.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

TEST_CASE("the loss falls, and the validation loss with it") {
  TrainingConfig config = base_config();
  config.max_steps = 60;
  Fixture run(config);
  const double before = run.trainer->evaluate().loss;
  const double first = run.trainer->step().loss;
  double last = 0;
  while (run.trainer->progress().step < 60) last = run.trainer->step().loss;
  CHECK(last < 0.7 * first);
  CHECK(run.trainer->evaluate().loss < 0.7 * before);
}

TEST_CASE("a step does not depend on how it is split into micro-batches") {
  TrainingConfig config = base_config();
  config.micro_batch_size = 5;
  Fixture whole(config);
  config.micro_batch_size = 1;
  Fixture split(config);
  for (int i = 0; i < 6; ++i) {
    const StepMetrics a = whole.trainer->step(), b = split.trainer->step();
    CHECK(a.loss == Approx(b.loss).epsilon(1e-5));
    CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(1e-4));
    CHECK(a.supervised_tokens == b.supervised_tokens);
  }
  CHECK(distance(whole.weights(), split.weights()) < 1e-4);
}

TEST_CASE("packed rows give the loss of the same samples unpacked") {
  TrainingConfig config = base_config();
  config.batch_size = 1000;
  Fixture plain(config);
  config.packing = true;
  Fixture packed(config);
  const StepMetrics a = plain.trainer->step(), b = packed.trainer->step();
  CHECK(a.tokens == b.tokens);
  CHECK(a.loss == Approx(b.loss).epsilon(1e-5));
  CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(1e-4));
}

TEST_CASE("the same recipe gives the same bits, dropout included") {
  Fixture a(base_config(), 0.3), b(base_config(), 0.3);
  for (int i = 0; i < 6; ++i) CHECK(a.trainer->step().loss == b.trainer->step().loss);
  CHECK(distance(a.weights(), b.weights()) == 0);
}

TEST_CASE("a run resumed from its parameters, moments and progress has the same bits") {
  const bool mixed = GENERATE(false, true);
  TrainingConfig config = base_config();
  config.max_steps = 14;  // over more than two epochs
  config.lr_schedule = "cosine";
  Fixture whole(config, 0.2, mixed);
  std::vector<double> losses;
  for (int i = 0; i < 14; ++i) losses.push_back(whole.trainer->step().loss);
  for (const int stop : {1, 5, 7}) {
    Fixture first(config, 0.2, mixed), second(config, 0.2, mixed);
    for (int i = 0; i < stop; ++i) first.trainer->step();
    const at::NoGradGuard no_grad;
    const auto from = trainable_parameters(*first.model), to = trainable_parameters(*second.model);
    for (size_t i = 0; i < from.size(); ++i) at::Tensor(to[i].tensor).copy_(from[i].tensor);
    const auto moments = first.trainer->optimizer().state(), copies = second.trainer->optimizer().state();
    for (size_t i = 0; i < moments.size(); ++i) at::Tensor(copies[i].second).copy_(moments[i].second);
    second.trainer->resume(first.trainer->progress());
    at::manual_seed(12345);  // whatever the generators were at
    const at::AutoGradMode grad(true);
    for (int i = stop; i < 14; ++i) CHECK(second.trainer->step().loss == losses[static_cast<size_t>(i)]);
    CHECK(distance(second.weights(), whole.weights()) == 0);
  }
}

TEST_CASE("a mixture decides what is seen, how long an epoch is and when epochs end") {
  TrainingConfig config = base_config();
  config.max_steps.reset();
  config.epochs = 2.5;
  Fixture run(config, 0, /*mixed=*/true);
  std::vector<int64_t> steps;
  int64_t tokens = 0, wanted = 0;
  const Mixture mixture = Fixture::mixture(run.train);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const auto drawn = static_cast<int64_t>(mixture.draw(epoch).size());
    steps.push_back((drawn + 4) / 5);
    for (const Mixture::Share& share : mixture.shares(epoch)) wanted += epoch < 2 ? share.tokens : 0;
  }
  CHECK(run.trainer->total_steps() == steps[0] + steps[1] + (steps[2] + 1) / 2);
  for (int64_t i = 0; i < steps[0] + steps[1]; ++i) tokens += run.trainer->step().tokens;
  CHECK(tokens == wanted);
}

TEST_CASE("gradients are clipped to max_grad_norm, and the norm before is reported") {
  TrainingConfig config = base_config();
  Fixture free_run(config);
  config.max_grad_norm = 1e-3;
  Fixture clipped(config);
  const double norm = free_run.trainer->step().grad_norm;
  CHECK(norm > 1e-3);
  CHECK(clipped.trainer->step().grad_norm == Approx(norm));
  CHECK(clipped.trainer->optimizer().grad_norm().item<double>() == Approx(1e-3).epsilon(1e-3));
}

TEST_CASE("the update is that of torch's AdamW") {
  TrainingConfig config = base_config();
  config.weight_decay = 0.1;
  config.adam_epsilon = 1e-6;
  Fixture run(config);
  // AdamW by hand, in double precision, from the gradients of each step.
  auto reference = run.weights();
  std::vector<at::Tensor> m, v;
  for (auto& w : reference) {
    w = w.to(at::kDouble);
    m.push_back(at::zeros_like(w));
    v.push_back(at::zeros_like(w));
  }
  for (int step = 1; step <= 5; ++step) {
    run.trainer->step();
    const auto parameters = trainable_parameters(*run.model);
    for (size_t i = 0; i < reference.size(); ++i) {
      const at::Tensor g = parameters[i].tensor.grad().to(at::kDouble);
      reference[i].mul_(1 - 1e-2 * 0.1);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const at::Tensor denominator = (v[i] / (1 - std::pow(0.999, step))).sqrt() + 1e-6;
      reference[i].sub_(1e-2 * (m[i] / (1 - std::pow(0.9, step))) / denominator);
    }
  }
  const auto found = run.weights();
  for (size_t i = 0; i < found.size(); ++i) CHECK((found[i] - reference[i]).abs().max().item<double>() < 1e-5);
}

TEST_CASE("a frozen weight that is not finite is named, and leaves the trained weights as they were") {
  Fixture run(base_config());
  const auto before = run.weights();
  {
    const at::NoGradGuard no_grad;
    run.model->model->norm->weight.set_data(at::full({16}, std::numeric_limits<float>::infinity()));
  }
  CHECK_THROWS_WITH(run.trainer->step(), Contains("'model.norm.weight' holds a value that is not finite"));
  CHECK(distance(run.weights(), before) == 0);
  CHECK(run.trainer->progress().step == 0);
}

TEST_CASE("schedules have the numbers of transformers") {
  TrainingConfig config;
  config.warmup_steps = 10;
  const auto factor = [&](int64_t step) { return Schedule(config, 110)(step); };
  config.lr_schedule = "cosine";
  CHECK(factor(0) == 0);
  CHECK(factor(5) == Approx(0.5));
  CHECK(factor(10) == Approx(1));
  CHECK(factor(60) == Approx(0.5));
  CHECK(factor(35) == Approx(0.85355339));
  config.lr_schedule = "linear";
  CHECK(factor(35) == Approx(0.75));
  CHECK(factor(109) == Approx(0.01));
  config.min_lr_ratio = 0.1;
  CHECK(factor(60) == Approx(0.55));
  config.lr_schedule = "constant";
  CHECK(factor(109) == 1);
}

TEST_CASE("warmup_ratio is the share of all steps that transformers takes") {
  struct Share {
    int64_t total;
    double ratio;
    int64_t steps;  // TrainingArguments(warmup_steps=ratio).get_warmup_steps(total)
  };
  for (const auto& [total, ratio, steps] : {Share{10, 0.03, 1},
                                            {100, 0.07, 8},
                                            {100, 0.1, 10},
                                            {1000, 0.03, 30},
                                            {7, 0.5, 4},
                                            {30, 0.1, 3},
                                            {1, 0.5, 1},
                                            {290, 0.1, 29}}) {
    TrainingConfig by_ratio, by_steps;
    by_ratio.warmup_ratio = ratio;
    by_steps.warmup_steps = steps;
    const Schedule found(by_ratio, total), expected(by_steps, total);
    for (int64_t step = 0; step < total; ++step) CHECK(found(step) == expected(step));
    CHECK(found(0) == 0);
  }
}

TEST_CASE("a schedule or an objective of an unknown name is an error of the recipe") {
  TrainingConfig config = base_config();
  config.lr_schedule = "linaer";
  try {
    Fixture run(config);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kRecipe);
    CHECK_THAT(error.what(), Contains("lr_schedule: 'linaer'") && Contains("did you mean 'linear'?"));
  }
  CHECK_THROWS_WITH(find_objective("causal_ml"), Contains("did you mean 'causal_lm'?"));
}

TEST_CASE("epochs become steps, the last of an epoch with the rows that are left") {
  TrainingConfig config = base_config();
  config.max_steps.reset();
  config.epochs = 2;
  Fixture run(config);
  CHECK(run.trainer->rows().steps_per_epoch() == 5);
  CHECK(run.trainer->total_steps() == 10);
  int64_t tokens = 0;
  for (int i = 0; i < 5; ++i) tokens += run.trainer->step().tokens;
  CHECK(tokens == run.train.tokens());
}

TEST_CASE("the loop evaluates, saves and stops when it should") {
  TrainingConfig config = base_config();
  config.max_steps = 7;
  config.eval_every = 2;
  config.checkpoint_every = 3;
  Fixture run(config);
  std::vector<int64_t> evaluated, saved;
  bool stop = false;
  LoopEvents events;
  events.on_step = [&](const StepMetrics& metrics) { stop = metrics.step == 5; };
  events.on_evaluation = [&](const Evaluation&, bool) { evaluated.push_back(run.trainer->progress().step); };
  events.save = [&] { saved.push_back(run.trainer->progress().step); };
  events.stop_requested = [&] { return stop; };
  CHECK(run_loop(*run.trainer, config, events) == LoopEnd::kStopped);
  CHECK(evaluated == std::vector<int64_t>{2, 4});
  CHECK(saved == std::vector<int64_t>{3, 5});
  CHECK(run_loop(*run.trainer, config, events) == LoopEnd::kDone);
  CHECK(evaluated == std::vector<int64_t>{2, 4, 6, 7});
  CHECK(saved == std::vector<int64_t>{3, 5, 6, 7});
}

TEST_CASE("a step and an evaluation tell how many of their passes are done") {
  TrainingConfig config = base_config();
  config.micro_batch_size = 2;
  Fixture run(config);
  std::vector<std::pair<int64_t, int64_t>> told;
  const OnPass tell = [&](int64_t done, int64_t total) { told.emplace_back(done, total); };
  run.trainer->step(tell);
  CHECK(told == std::vector<std::pair<int64_t, int64_t>>{{0, 3}, {1, 3}, {2, 3}});
  told.clear();
  run.trainer->evaluate(tell);
  REQUIRE_FALSE(told.empty());
  CHECK(told.back().first == told.back().second);
}

TEST_CASE("early stopping ends a run that no longer improves") {
  TrainingConfig config = base_config();
  config.max_steps = 50;
  config.eval_every = 1;
  config.early_stopping_patience = 3;
  config.learning_rates = {{"adapter", 0.0}};
  Fixture run(config);
  int evaluations = 0;
  LoopEvents events;
  events.on_step = [](const StepMetrics&) {};
  events.on_evaluation = [&](const Evaluation&, bool) { ++evaluations; };
  events.save = [] {};
  events.stop_requested = [] { return false; };
  CHECK(run_loop(*run.trainer, config, events) == LoopEnd::kEarlyStopping);
  CHECK(evaluations == 4);
  CHECK(run.trainer->progress().best_step == 1);
}

TEST_CASE("the gradient's norm is exact over millions of elements") {
  at::Tensor weight = at::zeros({5'000'000}).requires_grad_(true);
  AdamW optimizer({{"adapter", 1e-3, {{"weight", weight}}}}, base_config());
  at::manual_seed(1);
  weight.mutable_grad().normal_(0.0, 1e-4);
  const double exact = weight.grad().to(at::kDouble).norm().item<double>();
  CHECK(std::abs(optimizer.grad_norm().item<double>() / exact - 1) < 1e-6);
}
