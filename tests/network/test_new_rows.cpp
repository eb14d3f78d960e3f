// Rows for new tokens, beside those that transformers' resize_token_embeddings draws. tests/golden/new_rows is made by
// scripts/make_golden_new_rows.py.

#include <ATen/ATen.h>

#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/golden_logits.h"

using namespace lora;
using namespace lora::test;

namespace {

std::shared_ptr<LlamaForCausalLM> resized(const std::string& base, NewRowsInit init,
                                          const std::string& dtype = "float32") {
  return load_pretrained(golden_model(base), dtype, {.new_rows = drawn_rows(51, init, 7), .new_tokens = {48, 49, 50}});
}

}  // namespace

TEST_CASE("new rows are those that transformers draws from mean and covariance") {
  const SafetensorsFile expected(source_dir() / "tests/golden/new_rows/rows.safetensors");
  for (const char* base : {"default", "tied"}) {
    INFO(base);
    const auto model = resized(base, NewRowsInit::kCovariance);
    const at::Tensor embedding = model->model->embed_tokens->weight_matrix();
    CHECK(embedding.size(0) == 51);
    CHECK(largest(embedding.narrow(0, 48, 3) - expected.tensor(std::string(base) + ".embed_tokens")) < 1e-6);
    if (!model->has_tied_head()) {
      CHECK(largest(model->lm_head->weight_matrix().narrow(0, 48, 3) - expected.tensor("default.lm_head")) < 1e-6);
    }
    CHECK_FALSE(embedding[48].equal(embedding[49]));
    CHECK(model->config().vocab_size == 51);
    CHECK(model->config().new_rows == 3);
  }
}

TEST_CASE("new rows may be the mean, and change no logit of the old tokens") {
  for (const char* base : {"default", "tied"}) {
    INFO(base);
    const auto model = resized(base, NewRowsInit::kMean), before = load_pretrained(golden_model(base), "float32");
    const at::Tensor embedding = model->model->embed_tokens->weight_matrix();
    CHECK(largest(embedding[50] - before->model->embed_tokens->weight_matrix().mean(0)) < 1e-6);
    CHECK(embedding[48].equal(embedding[50]));
    CHECK(largest(last_logits(*model).narrow(1, 0, 48) - last_logits(*before)) < 1e-5);
  }
  CHECK(resized("default", NewRowsInit::kMean, "bfloat16")->model->embed_tokens->weight_matrix().scalar_type() ==
        at::kBFloat16);
}

TEST_CASE("rows that a model has already are left as they are") {
  const auto model =
      load_pretrained(golden_model("default"), "float32", {.new_rows = drawn_rows(40, NewRowsInit::kMean, 7)});
  CHECK(model->config().vocab_size == 48);
  CHECK(model->config().new_rows == 0);
}
