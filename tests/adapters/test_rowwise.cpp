// Rows of several adapters in one batch: each row as its adapter alone has it.

#include "lora/adapters/rowwise.h"

#include <ATen/ATen.h>

#include "models/base/error.h"
#include "models/network/pretrained.h"
#include "tests/adapters/adapted_model.h"
#include "tests/catch.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

const std::vector<int64_t> kLengths = {3, 7, 1, 5, 4, 6};
const std::vector<int64_t> kAdapters = {1, -1, 0, 0, 2, 1};
const std::vector<std::string> kNames = {"a", "b", "c"};

void add_three(AdapterSet& set) {
  AdapterConfig b = all_linear(), c = all_linear();
  b.target_modules = std::vector<std::string>{"q_proj", "up_proj"};
  b.rank = 2;
  c.target_modules = std::vector<std::string>{"layers.1.mlp.down_proj"};
  const AdapterConfig configs[] = {all_linear(), b, c};
  for (size_t i = 0; i < 3; ++i) {
    set.add(kNames[i], configs[i], i);
    randomise(*set.model(), i);
  }
}

TokenBatch rows_from(size_t first, size_t count) {
  TokenBatch batch;
  int64_t begin = 0, n = 0;
  for (size_t i = 0; i < first; ++i) begin += kLengths[i];
  for (size_t i = first; i < first + count; ++i) {
    batch.lengths.push_back(kLengths[i]);
    n += kLengths[i];
  }
  batch.input_ids = (at::arange(begin, begin + n, at::kLong) * 31 + 7).remainder(48);
  return batch;
}

void use(AdapterSet& set, int64_t adapter) {
  if (adapter < 0) return set.deactivate();
  set.activate(kNames[static_cast<size_t>(adapter)]);
}

}  // namespace

TEST_CASE("each row of a batch has the output of its adapter alone, and then the base is as it was") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  const at::Tensor base = logits(*model);
  AdapterSet set(model);
  add_three(set);
  model->eval();
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> alone;
  for (size_t i = 0; i < kLengths.size(); ++i) {
    use(set, kAdapters[i]);
    alone.push_back(model->model->forward(rows_from(i, 1)));
  }
  {
    RowwiseAdapters rowwise(set, kNames);
    rowwise.set_rows(kLengths, kAdapters);
    const at::Tensor together = model->model->forward(rows_from(0, kLengths.size()));
    CHECK((together - at::cat(alone)).abs().max().item<double>() < 1e-5);
    CHECK_THROWS_AS(model->model->forward(rows_from(0, 2)), std::logic_error);
  }
  CHECK(logits(*model).equal(base));
  set.activate("a");
  CHECK((model->model->forward(rows_from(2, 1)) - alone[2]).abs().max().item<double>() == 0);
}

TEST_CASE("rows of every method share a batch") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  AdapterSet set(model);
  model->eval();
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> alone;
  std::vector<int64_t> lengths, adapters;
  for (const auto& [name, config] : every_method()) {
    set.add(name, config, 1);
    randomise(*model, 2);
    alone.push_back(model->model->forward(rows_from(0, 1)));
    adapters.push_back(static_cast<int64_t>(lengths.size()));
    lengths.push_back(kLengths[0]);
  }
  RowwiseAdapters rowwise(set, set.names());
  rowwise.set_rows(lengths, adapters);
  const at::Tensor ids = rows_from(0, 1).input_ids.repeat({static_cast<int64_t>(lengths.size())});
  CHECK((model->model->forward({ids, lengths}) - at::cat(alone)).abs().max().item<double>() < 1e-5);
}

TEST_CASE("each adapter's gradient is that of its own rows") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  AdapterSet set(model);
  add_three(set);
  const auto parameters = [&](const std::string& name) {
    std::vector<at::Tensor> all;
    for (const AdaptedModule& module : set.adapted(name).modules) {
      for (const auto& [key, tensor] : module.layer->peft_tensors()) all.push_back(tensor);
    }
    return all;
  };
  const auto gradients = [&] {
    std::vector<at::Tensor> all;
    for (const std::string& name : kNames) {
      for (at::Tensor& p : parameters(name)) all.push_back(std::exchange(p.mutable_grad(), at::Tensor()));
    }
    return all;
  };
  const auto loss = [&](size_t first, size_t count) {
    const TokenBatch batch = rows_from(first, count);
    return model->loss_sum(batch, (batch.input_ids * 5 + 2).remainder(48));
  };
  for (size_t i = 0; i < kLengths.size(); ++i) {
    use(set, kAdapters[i]);
    if (kAdapters[i] >= 0) loss(i, 1).backward();
  }
  const auto wanted = gradients();
  RowwiseAdapters rowwise(set, kNames);
  rowwise.set_rows(kLengths, kAdapters);
  loss(0, kLengths.size()).backward();
  const auto found = gradients();
  for (size_t i = 0; i < wanted.size(); ++i) {
    CHECK((found[i] - wanted[i]).norm().item<double>() <= 1e-5 * wanted[i].norm().item<double>() + 1e-7);
  }
}

TEST_CASE("an adapter that changes more than projections of layers cannot share a batch") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  const at::Tensor base = logits(*model);
  AdapterSet set(model);
  AdapterConfig config = all_linear();
  config.modules_to_save = {"norm"};
  set.add("saved", config, 1);
  set.add("plain", all_linear(), 1);
  CHECK_THROWS_WITH(RowwiseAdapters(set, {"plain", "saved"}), Contains("'saved'"));
  set.deactivate();
  CHECK(logits(*model).equal(base));
}
