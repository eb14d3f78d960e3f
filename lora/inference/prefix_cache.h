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
  // Of texts that this decoder reads, which is borrowed. Keeps at most so many bytes, the longest unused text going first.
  // LongRoPE's keys depend on the length of the whole text, so nothing is kept there.
  PrefixCache(const BatchDecoder& decoder, int64_t bytes);

  // A sequence of the longest known beginning of `prompt`, and never all of it: the last token is read for its logits.
  // It shares the full pages and has a copy of a page that is not full. Empty where nothing is known.
  KvSequence find(const std::shared_ptr<const ModelSnapshot>& model, std::span<const int64_t> prompt);

  // Keeps the pages of a sequence that holds `tokens`, or the first of them; the sequence may go on growing.
  void keep(const std::shared_ptr<const ModelSnapshot>& model, std::span<const int64_t> tokens,
            const KvSequence& sequence);

  // Forgets all texts of a model, and with them its weights.
  void forget(const std::shared_ptr<const ModelSnapshot>& model);

  // Drops the text that was unused for longest; false where there is none.
  bool drop_oldest();

  int64_t bytes() const { return bytes_; }

 private:
  struct Text {
    std::shared_ptr<const ModelSnapshot> model;
    std::vector<int64_t> tokens;
    KvSequence sequence;
  };
  void drop(std::list<Text>::iterator text);
  int64_t bytes_of(const Text& text) const;

  const BatchDecoder& decoder_;
  int64_t limit_, bytes_ = 0;  // pages that two texts share count twice
  std::list<Text> texts_;      // the one used last comes first
};

}  // namespace lora
