#pragma once
// Different adapters for different rows of one batch: each projection with the base is done once for all rows, and each
// row's adapter adds its own to its span of tokens.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/adapter_set.h"

namespace lora {

struct TokenSpan {
  int64_t tokens;
  int64_t adapter;  // index, or -1: the bare base
};

// The network's layers stand back for as long as this lives; then the bare base is active. Forward passes give each row
// what its adapter alone would give it, up to rounding, and gradients to that adapter; they go through the plain path.
// An adapter whose layer is more than one product of two factors (DoRA, PiSSA) runs its own forward on its rows, base
// included.
class RowwiseAdapters {
 public:
  // Error (exit code 2) by name for an adapter that changes more than projections of decoder layers.
  RowwiseAdapters(AdapterSet& set, const std::vector<std::string>& names);
  ~RowwiseAdapters();
  RowwiseAdapters(const RowwiseAdapters&) = delete;
  RowwiseAdapters& operator=(const RowwiseAdapters&) = delete;

  // The rows of the passes to come, as the batch has them one after another: tokens of each, and the index in `names`
  // of its adapter. Neighbours of one adapter become one span; a pass of other tokens is a std::logic_error.
  void set_rows(const std::vector<int64_t>& lengths, const std::vector<int64_t>& adapters);

 private:
  LlamaForCausalLM& model_;
  std::vector<std::pair<std::string, std::shared_ptr<Linear>>> bases_;
  std::shared_ptr<std::vector<TokenSpan>> spans_;  // also held by the layers
};

}  // namespace lora
