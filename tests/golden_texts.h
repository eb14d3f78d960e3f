#pragma once
// The texts of a golden classifier, back to back as our network reads them, with what transformers and PEFT compute.

#include <ATen/ATen.h>

#include "models/network/token_batch.h"
#include "tests/golden.h"

namespace lora::test {

struct GoldenTexts {
  explicit GoldenTexts(const std::string& model) : expected(read_json(golden_model(model) / "expected.json")) {
    std::vector<int64_t> ids, last, wanted;
    labels = expected["labels"].get<std::vector<int64_t>>();
    for (size_t i = 0; i < labels.size(); ++i) {
      const auto text = expected["input_ids"][i].get<std::vector<int64_t>>();
      ids.insert(ids.end(), text.begin(), text.end());
      wanted.resize(ids.size(), kIgnoredTarget);
      wanted.back() = labels[i];
      last.push_back(static_cast<int64_t>(ids.size()) - 1);
      batch.lengths.push_back(static_cast<int64_t>(text.size()));
    }
    batch.input_ids = at::tensor(ids, at::kLong);
    targets = at::tensor(wanted, at::kLong);
    ends = at::tensor(last, at::kLong);
  }
  // `which`: "plain", or "adapted" by the adapter beside the model.
  at::Tensor logits(const std::string& which) const {
    std::vector<at::Tensor> rows;
    for (const auto& row : expected[which]["logits"]) rows.push_back(at::tensor(row.get<std::vector<float>>()));
    return at::stack(rows);
  }
  double loss(const std::string& which) const { return expected[which]["loss"]; }

  nlohmann::json expected;
  TokenBatch batch;
  std::vector<int64_t> labels;
  at::Tensor targets, ends;  // (N), (B) int64
};

}  // namespace lora::test
