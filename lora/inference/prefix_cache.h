#pragma once
// Keys and values of texts that were read before, so that a prompt with the same beginning is not read again. What is
// kept belongs to one model, adapter included: another adapter's keys and values are other numbers.

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "models/network/batch_decoder.h"

namespace lora {

// Used by one thread.
class PrefixCache {
 public:
  // Keeps at most so many bytes, the longest unused text going first. `config`: of the model. LongRoPE's keys depend on
  // the length of the whole text, so nothing is kept there.
  PrefixCache(const KvLayout& layout, const ModelConfig& config, int64_t bytes);

  // A sequence of the longest known beginning of `prompt`, in whole pages, and never all of it: the last token is read
  // for its logits. Empty where nothing is known.
  KvSequence find(const std::shared_ptr<const ModelSnapshot>& model, std::span<const int64_t> prompt);

  // Keeps the full pages of a sequence that holds `tokens`; the sequence may go on growing.
  void keep(const std::shared_ptr<const ModelSnapshot>& model, std::span<const int64_t> tokens,
            const KvSequence& sequence);

  // Forgets all texts of a model, and with them its weights.
  void forget(const std::shared_ptr<const ModelSnapshot>& model);

  int64_t bytes() const { return bytes_; }

 private:
  struct Text {
    std::shared_ptr<const ModelSnapshot> model;
    std::vector<int64_t> tokens;
    KvSequence sequence;
  };
  void drop(std::list<Text>::iterator text);
  int64_t bytes_of(const Text& text) const;

  KvLayout layout_;
  int64_t limit_, bytes_ = 0;  // pages that two texts share count twice
  std::list<Text> texts_;      // the one used last comes first
};

}  // namespace lora
