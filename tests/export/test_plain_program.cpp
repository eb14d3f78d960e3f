// The TorchScript file in a program that has LibTorch alone (tests/plain_torchscript): what the file promises others.

#include <ATen/ATen.h>

#include <sstream>

#include "lora/inference/generation.h"
#include "tests/app/command.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/export/trained_model.h"

using namespace lora;
using namespace lora::test;

TEST_CASE("a program without this project's libraries loads the TorchScript file and computes the trained model") {
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const TemporaryDirectory directory;
    const Trained trained("default", dtype);
    export_as("torchscript", trained.source(), directory / "merged.pt");
    const Outcome outcome = run({"tests/plain_torchscript", (directory / "merged.pt").string(), "5", "6", "7", "8"});
    INFO(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    std::istringstream out(outcome.out);
    const int64_t vocab = trained.model->config().vocab_size;
    std::vector<float> numbers(static_cast<size_t>(4 * vocab));
    for (float& number : numbers) out >> number;
    const at::Tensor ids = at::tensor({5, 6, 7, 8}, at::kLong);
    const at::Tensor wanted = trained.logits(ids.unsqueeze(0))[0].to(at::kFloat);
    CHECK(relative_to_largest(at::tensor(numbers).view({4, vocab}), wanted) < (dtype == "float32" ? 1e-5 : 0.1));
    if (dtype != "float32") continue;
    std::vector<int64_t> continuation;
    for (int64_t id; out >> id;) continuation.push_back(id);
    const auto greedy = generate(*trained.model, {{5, 6, 7, 8}},
                                 {.max_new_tokens = 8, .eos_ids = trained.model->config().eos_token_ids})
                            .front();
    REQUIRE(continuation.size() >= 4 + greedy.size());
    CHECK(std::equal(greedy.begin(), greedy.end(), continuation.begin() + 4));
  }
}
