// The network against transformers, on small random models of every supported option, and against a real trained one.

#include <ATen/ATen.h>

#include "lora/inference/generation.h"
#include "models/network/decoder.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/shared_data.h"

using namespace lora;
using namespace lora::test;
using nlohmann::json;

namespace {

at::Tensor ids_tensor(const json& rows) {
  std::vector<at::Tensor> tensors;
  for (const json& row : rows) tensors.push_back(at::tensor(row.get<std::vector<int64_t>>(), at::kLong));
  return at::stack(tensors);
}

at::Tensor float_tensor(const json& rows) {
  std::vector<at::Tensor> tensors;
  for (const json& row : rows) tensors.push_back(at::tensor(row.get<std::vector<double>>(), at::kDouble));
  return at::stack(tensors);
}

const std::vector<std::string> kModels = {"default",     "tied",        "head_dim", "biases",
                                          "rope_linear", "rope_llama3", "qwen2"};

}  // namespace

TEST_CASE("logits equal those of transformers") {
  for (const std::string& name : kModels) {
    DYNAMIC_SECTION(name) {
      const at::NoGradGuard no_grad;
      const auto model = load_pretrained(golden_model(name), "auto");
      const json expected = read_json(golden_model(name) / "expected.json");
      const at::Tensor logits = model->forward(ids_tensor(expected["input_ids"]));
      CHECK(largest(logits.select(1, -1).to(at::kDouble) - float_tensor(expected["logits_last"])) < 3e-5);
      CHECK(largest(logits.to(at::kDouble).sum(-1) - float_tensor(expected["logits_sum"])) < 3e-4);
    }
  }
}

TEST_CASE("a longer text is read from where it is new, and answered as if it were read whole") {
  for (const std::string& name : kModels) {
    DYNAMIC_SECTION(name) {
      const auto model = load_pretrained(golden_model(name), "float32");
      const GenerationConfig config{.max_new_tokens = 5};
      Generator generator(*model);
      std::vector<int64_t> read;
      const auto turn = [&](const std::vector<int64_t>& prompt) {
        const Generated made = generator.generate({prompt}, config);
        read.push_back(made.read);
        CHECK(made.answers[0] == generate(*model, {prompt}, config)[0]);
        return made.answers[0];
      };
      std::vector<int64_t> text = {5, 6, 7, 8, 9, 10};
      const auto answer = turn(text);
      text.insert(text.end(), answer.begin(), answer.end());
      text.insert(text.end(), {11, 12, 13, 14, 15, 16, 17});
      turn(text);            // continues; the last token of the answer has not been read
      turn(text);            // the same again: only its last token is read
      turn({5, 6, 20, 21});  // parts early
      turn({30, 31});        // from the start
      CHECK(read == std::vector<int64_t>{6, 8, 1, 2, 2});
    }
  }
}

TEST_CASE("greedy generation with the cache equals that of transformers") {
  for (const std::string& name : kModels) {
    DYNAMIC_SECTION(name) {
      const auto model = load_pretrained(golden_model(name), "float32");
      const json expected = read_json(golden_model(name) / "expected.json");
      auto prompt = expected["input_ids"][0].get<std::vector<int64_t>>();
      prompt.resize(6);
      const auto answers = generate(*model, {prompt}, {.max_new_tokens = 12});
      CHECK(answers[0] == expected["greedy_6_12"].get<std::vector<int64_t>>());
    }
  }
}

TEST_CASE("a sample's hidden states do not depend on the samples packed beside it") {
  const at::NoGradGuard no_grad;
  const auto model = load_pretrained(golden_model("default"), "auto");
  const at::Tensor ids = at::arange(3, 33, at::kLong);
  const at::Tensor packed = model->model->forward({ids, {9, 1, 20}});
  const at::Tensor alone = model->model->forward({ids.narrow(0, 10, 20), {20}});
  CHECK(largest(packed.narrow(0, 10, 20) - alone) < 1e-5);
}

TEST_CASE("prompts generated together give what each gives alone") {
  const auto model = load_pretrained(golden_model("default"), "auto");
  const std::vector<std::vector<int64_t>> prompts = {{5, 6, 7}, {9}, {11, 12, 13, 14, 15, 16}};
  const auto together = generate(*model, prompts, {.max_new_tokens = 10});
  for (size_t i = 0; i < prompts.size(); ++i) {
    CHECK(together[i] == generate(*model, {prompts[i]}, {.max_new_tokens = 10})[0]);
  }
}

TEST_CASE("generation stops at an end token, and leaves it out") {
  const auto model = load_pretrained(golden_model("default"), "auto");
  const auto free_run = generate(*model, {{5, 6, 7}}, {.max_new_tokens = 8})[0];
  const auto stopped = generate(*model, {{5, 6, 7}}, {.max_new_tokens = 8, .eos_ids = {free_run[3]}})[0];
  const auto first = std::ranges::find(free_run, free_run[3]);
  CHECK(stopped == std::vector<int64_t>(free_run.begin(), first));
}

TEST_CASE("sampling repeats with its seed, and a tiny top_p is greedy") {
  const auto model = load_pretrained(golden_model("default"), "auto");
  const GenerationConfig warm{.max_new_tokens = 20, .sampling = {.temperature = 2.0, .seed = 7}};
  CHECK(generate(*model, {{5}}, warm) == generate(*model, {{5}}, warm));
  GenerationConfig other = warm;
  other.sampling.seed = 8;
  CHECK(generate(*model, {{5}}, warm) != generate(*model, {{5}}, other));
  CHECK(generate(*model, {{5}}, {.max_new_tokens = 20, .sampling = {.temperature = 2.0, .top_p = 1e-6}}) ==
        generate(*model, {{5}}, {.max_new_tokens = 20}));
}

TEST_CASE("loss_sum and its gradients equal cross-entropy over the logits") {
  for (const char* name : {"default", "tied"}) {
    DYNAMIC_SECTION(name) {
      const auto model = load_pretrained(golden_model(name), "auto");
      // Trained weights own their memory.
      for (at::Tensor& p : model->parameters()) {
        p.set_data(p.detach().clone());
        p.requires_grad_(true);
      }
      const at::Tensor ids = at::arange(3, 43, at::kLong);
      at::Tensor targets = (ids * 5 + 2).remainder(48);
      targets.slice(0, 4, 20) = kIgnoredTarget;
      const auto grads = [&](const at::Tensor& loss) {
        for (at::Tensor& p : model->parameters()) p.mutable_grad() = at::Tensor();
        loss.backward();
        std::vector<at::Tensor> copies;
        for (const at::Tensor& p : model->parameters()) copies.push_back(p.grad().clone());
        return copies;
      };
      const at::Tensor loss = model->loss_sum({ids, {25, 15}}, targets);
      const auto found = grads(loss);
      const at::Tensor plain = at::cross_entropy_loss(model->logits(model->model->forward({ids, {25, 15}})), targets,
                                                      {}, at::Reduction::Sum, kIgnoredTarget);
      const auto wanted = grads(plain);
      CHECK(std::abs(loss.item<double>() - plain.item<double>()) < 1e-4);
      for (size_t i = 0; i < found.size(); ++i) {
        CHECK(largest(found[i] - wanted[i]) <= 1e-5 * (1 + largest(wanted[i])));
      }
    }
  }
}

TEST_CASE("a sample that forks gives the log-probabilities and gradients of its two texts apart") {
  const bool fused = GENERATE(true, false);
  const Recompute recompute = GENERATE(Recompute::kNone, Recompute::kLayer);
  const ExecutionPlan plan{.fused = fused, .recompute = recompute};
  const auto model = load_pretrained(golden_model("rope_llama3"), "float32");
  for (at::Tensor& p : model->parameters()) {
    p.set_data(p.detach().clone());
    p.requires_grad_(p.dim() == 1);  // norms: every layer's input matters to them
  }
  const at::Tensor prompt = at::arange(3, 14, at::kLong), first = at::tensor({20, 21, 22, 23}, at::kLong),
                   second = at::tensor({30, 31, 32, 33, 34, 35}, at::kLong), other = at::tensor({7, 8, 9}, at::kLong);
  const auto run = [&](const TokenBatch& batch, const std::vector<int64_t>& positions,
                       const std::vector<int64_t>& targets) {
    for (at::Tensor& p : model->parameters()) p.mutable_grad() = at::Tensor();
    const at::Tensor log_p = model->log_probabilities(batch, at::tensor(positions), at::tensor(targets), plan);
    (log_p * at::arange(1, 11)).sum().backward();
    std::vector<at::Tensor> all{log_p.detach()};
    for (const at::Tensor& p : model->parameters()) {
      if (p.requires_grad()) all.push_back(p.grad().clone());
    }
    return all;
  };
  const std::vector<int64_t> targets = {20, 21, 22, 23, 30, 31, 32, 33, 34, 35};
  // Between two other samples, so that no row is at its own place.
  const auto forked = run({at::cat({other, prompt, first, second, other}), {3, 21, 3}, {{}, {11, 15}}},
                          {13, 14, 15, 16, 13, 18, 19, 20, 21, 22}, targets);
  const auto apart =
      run({at::cat({prompt, first, prompt, second}), {15, 17}}, {10, 11, 12, 13, 25, 26, 27, 28, 29, 30}, targets);
  REQUIRE(forked.size() == apart.size());
  for (size_t i = 0; i < forked.size(); ++i) {
    CHECK(largest(forked[i] - apart[i]) <= 1e-5 * (1 + largest(apart[i])));
  }
}

TEST_CASE("a real trained model gives the reference's likelihoods and continuations") {
  const auto directory = shared_data("stories260k");
  if (!directory) return;
  const at::NoGradGuard no_grad;
  const auto model = load_pretrained(*directory, "auto");
  const json reference = read_json(*directory / "reference.json");
  for (const json& expected : reference["cases"]) {
    const auto ids = expected["ids"].get<std::vector<int64_t>>();
    const auto nll = expected["token_nll"].get<std::vector<double>>();
    const at::Tensor logits = model->forward(at::tensor(ids, at::kLong).unsqueeze(0))[0];
    const at::Tensor log_p = at::log_softmax(logits.to(at::kDouble), -1);
    for (size_t i = 0; i < nll.size(); ++i) {
      CHECK(std::abs(-log_p[static_cast<int64_t>(i)][ids[i + 1]].item<double>() - nll[i]) < 1e-4);
    }
    CHECK(largest(logits[-1].to(at::kDouble) - float_tensor(json::array({expected["last_logits"]}))[0]) < 1e-4);
    CHECK(generate(*model, {ids}, {.max_new_tokens = 40})[0] == expected["greedy_40"].get<std::vector<int64_t>>());
  }
}

TEST_CASE("the number of a layer is read from the path of what is in it") {
  CHECK(layer_of("model.layers.12.self_attn.q_proj") == 12);
  CHECK(layer_of("model.layers.0") == 0);
  for (const char* path : {"model.norm", "lm_head", "model.layers.", "model.layers.x.mlp", "model.layers.-1.mlp",
                           "model.layers.1x.mlp", "layers.1.mlp"}) {
    CAPTURE(path);
    CHECK_FALSE(layer_of(path));
  }
}
