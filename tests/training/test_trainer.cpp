// The training step: exact accumulation, clipping, schedules, groups, and that a stopped run goes on with the same
// bits.

#include "lora/training/trainer.h"

#include <ATen/ATen.h>

#include <barrier>
#include <thread>

#include "lora/adapters/inject.h"
#include "lora/training/loop.h"
#include "models/base/error.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

// Rows that can be learnt: each token follows from the one before; half of each sample is masked.
Dataset make_dataset(int64_t samples) {
  Dataset dataset;
  for (int64_t i = 0; i < samples; ++i) {
    Sample sample;
    const int64_t length = 4 + i * 7 % 13;
    for (int64_t t = 0; t < length; ++t) {
      sample.ids.push_back(static_cast<int32_t>((i * 5 + t * 3) % 48));
      sample.supervised.push_back(t >= length / 2);
    }
    dataset.add(sample);
  }
  return dataset;
}

TrainingConfig base_config() {
  TrainingConfig config;
  config.max_steps = 6;
  config.batch_size = 5;
  config.max_length = 32;
  config.packing = false;
  config.learning_rate = 1e-2;
  config.lr_schedule = "constant";
  return config;
}

struct Fixture {
  explicit Fixture(const TrainingConfig& config, double dropout = 0, bool mixed = false,
                   std::shared_ptr<Replicas> replicas = std::make_shared<Replicas>())
      : train(make_dataset(23)), validation(make_dataset(9)) {
    model = load_pretrained(golden_model("default"), "auto");
    AdapterConfig adapter;
    adapter.target_modules = AllLinear{};
    adapter.dropout = dropout;
    adapted = inject(model, adapter, config.seed);
    RowCursor rows(train, config, /*shuffle=*/true, mixed ? mixture(train) : Mixture());
    trainer = std::make_unique<Trainer>(*model, config, std::move(rows), &validation, std::move(replicas));
  }
  // Of a source of 5 samples and one of 18, as many tokens of each.
  static Mixture mixture(const Dataset& dataset) {
    return Mixture({.strategy = MixingStrategy::kWeights, .by = MixingUnit::kTokens}, {{"a", 0, 5}, {"b", 5, 23}},
                   dataset.lengths(), true, 42);
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

// Where two trainers, each on a thread of its own, add up.
struct Meeting {
  std::barrier<> both{2};
  std::vector<at::Tensor> gradients[2];
  double losses[2] = {};
  bool asked[2] = {};
};

class OneOfTwo final : public Replicas {
 public:
  OneOfTwo(Meeting& meeting, int64_t rank) : meeting_(meeting), rank_(rank) {}
  int64_t rank() const override { return rank_; }
  int64_t count() const override { return 2; }
  double sum(const std::vector<at::Tensor>& gradients, double loss) override {
    meeting_.gradients[rank_].clear();
    for (const at::Tensor& gradient : gradients) meeting_.gradients[rank_].push_back(gradient.clone());
    meeting_.losses[rank_] = loss;
    meeting_.both.arrive_and_wait();
    for (size_t i = 0; i < gradients.size(); ++i) {
      at::Tensor(gradients[i]).copy_(meeting_.gradients[0][i] + meeting_.gradients[1][i]);
    }
    const double all = meeting_.losses[0] + meeting_.losses[1];
    meeting_.both.arrive_and_wait();
    return all;
  }
  bool agree_to_stop(bool asked) override {
    meeting_.asked[rank_] = asked;
    meeting_.both.arrive_and_wait();
    const bool any = meeting_.asked[0] || meeting_.asked[1];
    meeting_.both.arrive_and_wait();
    return any;
  }

 private:
  Meeting& meeting_;
  int64_t rank_;
};

double distance(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, (a[i] - b[i]).abs().max().item<double>());
  return worst;
}

}  // namespace

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

TEST_CASE("a run taken up from its parameters, moments and progress goes on with the same bits") {
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
  CHECK(clipped.trainer->optimizer().grad_norm() == Approx(1e-3).epsilon(1e-3));
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

TEST_CASE("each learning_rates key takes its own parameters, and one that takes none is an error") {
  TrainingConfig config = base_config();
  config.learning_rates = {{"v_proj", 1e-3}, {"layers.1", 5e-3}};
  Fixture run(config);
  const auto& groups = run.trainer->groups();
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].parameters.size() == 4);
  CHECK(groups[1].parameters.size() == 12);
  CHECK(groups[2].name == "adapter");
  CHECK(groups[2].parameters.size() == 12);
  config.learning_rates = {{"v_prj", 1e-3}};
  CHECK_THROWS_WITH(Fixture(config), Contains("'v_prj'") && Contains("v_proj"));
  config.learning_rates = {{"head", 1e-3}};
  CHECK_THROWS_AS(Fixture(config), Error);
}

TEST_CASE("LoRA+ gives B and what has one dimension a multiple of their group's rate, as PEFT does") {
  TrainingConfig config = base_config();
  config.learning_rates = {{"v_proj", 1e-3}};
  config.loraplus_lr_ratio = 16;
  const at::Tensor matrix = at::zeros({2, 2}), vector = at::zeros({2});
  using enum ParameterRole;
  const auto groups = make_parameter_groups({{"l.q_proj.lora_A", matrix, kA},
                                             {"l.q_proj.lora_B", matrix, kB},
                                             {"l.q_proj.lora_magnitude_vector", vector, kAdapter},
                                             {"l.v_proj.lora_A", matrix, kA},
                                             {"l.v_proj.lora_B", matrix, kB},
                                             {"norm.weight", vector, kBase}},
                                            config);
  struct Expected {
    std::string name;
    double rate;
    std::vector<std::string> parameters;
  };
  const double rate = config.learning_rate;
  const std::vector<Expected> wanted = {
      {"v_proj", 1e-3, {"l.v_proj.lora_A"}},
      {"v_proj × 16", 16e-3, {"l.v_proj.lora_B"}},
      {"adapter", rate, {"l.q_proj.lora_A"}},
      {"adapter × 16", 16 * rate, {"l.q_proj.lora_B", "l.q_proj.lora_magnitude_vector", "norm.weight"}}};
  REQUIRE(groups.size() == wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    CHECK(groups[i].name == wanted[i].name);
    CHECK(groups[i].learning_rate == Approx(wanted[i].rate));
    std::vector<std::string> names;
    for (const auto& [name, tensor] : groups[i].parameters) names.push_back(name);
    CHECK(names == wanted[i].parameters);
  }
}

TEST_CASE("the first step of LoRA+ moves B by the ratio times what it moves by without") {
  const auto b_after_a_step = [](double ratio) {
    TrainingConfig config = base_config();
    config.loraplus_lr_ratio = ratio;
    Fixture run(config);
    run.trainer->step();
    std::vector<at::Tensor> all;
    for (const auto& [name, p, role] : trainable_parameters(*run.model)) {
      if (name.ends_with("lora_B")) all.push_back(p.detach().flatten());
    }
    return at::cat(all);
  };
  const at::Tensor plain = b_after_a_step(1), fast = b_after_a_step(8);
  CHECK(plain.abs().max().item<double>() > 0);
  CHECK(at::allclose(fast, plain * 8, 1e-5, 0));
}

TEST_CASE("a rate of zero leaves its group as it was") {
  TrainingConfig config = base_config();
  config.learning_rates = {{"q_proj", 0.0}};
  Fixture run(config);
  const auto before = run.weights();
  for (int i = 0; i < 3; ++i) run.trainer->step();
  const auto after = run.weights();
  const auto names = trainable_parameters(*run.model);
  for (size_t i = 0; i < after.size(); ++i) {
    const bool frozen = names[i].path.find("q_proj") != std::string::npos;
    CHECK(after[i].equal(before[i]) == frozen);
  }
}

TEST_CASE("a loss that is not finite is an error and leaves the weights as they were") {
  Fixture run(base_config());
  const auto before = run.weights();
  {
    const at::NoGradGuard no_grad;
    run.model->model->norm->weight.set_data(at::full({16}, std::numeric_limits<float>::infinity()));
  }
  CHECK_THROWS_AS(run.trainer->step(), NumericsError);
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

TEST_CASE("replicas that share a step's passes make the update of one that does all, and stop together") {
  TrainingConfig config = base_config();
  config.micro_batch_size = 1;
  Fixture alone(config);
  Meeting meeting;
  Fixture first(config, 0, false, std::make_shared<OneOfTwo>(meeting, 0));
  Fixture second(config, 0, false, std::make_shared<OneOfTwo>(meeting, 1));
  const auto train = [&](Fixture& run, bool asked, std::vector<StepMetrics>& steps) {
    LoopEvents events;
    events.on_step = [&](const StepMetrics& metrics) { steps.push_back(metrics); };
    events.on_evaluation = [](const Evaluation&, bool) {};
    events.save = [] {};
    events.stop_requested = [&] { return asked && steps.size() == 4; };
    return run_loop(*run.trainer, config, events);
  };
  std::vector<StepMetrics> whole, steps, others;
  std::thread other([&] { CHECK(train(second, false, others) == LoopEnd::kStopped); });
  CHECK(train(first, true, steps) == LoopEnd::kStopped);
  other.join();
  CHECK(train(alone, true, whole) == LoopEnd::kStopped);
  REQUIRE(steps.size() == whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    CHECK(steps[i].loss == Approx(whole[i].loss).epsilon(1e-6));
    CHECK(steps[i].loss == others[i].loss);
    CHECK(steps[i].tokens == whole[i].tokens);
  }
  CHECK(distance(first.weights(), second.weights()) == 0);
  CHECK(distance(first.weights(), alone.weights()) < 1e-5);
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
  CHECK(std::abs(optimizer.grad_norm() / exact - 1) < 1e-6);
}
