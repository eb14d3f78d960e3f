#include "lora/data/tokenizers/vocabulary.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace lora {

Vocabulary::Vocabulary(size_t count, size_t bytes) : slots_(std::bit_ceil(2 * count + 2), kNone) {
  bytes_.reserve(bytes);
  places_.reserve(count);
}

void Vocabulary::add(std::string_view text, uint32_t id, bool found) {
  if (id >= places_.size()) places_.resize(size_t{id} + 1);
  places_[id] = {static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(text.size()), true};
  bytes_.append(text);
  if (!found) return;
  if (2 * (filled_ + 1) > slots_.size()) {
    std::vector<uint32_t> before(2 * slots_.size(), kNone);
    before.swap(slots_);
    for (const uint32_t old : before) {
      if (old != kNone) insert(old);
    }
  }
  ++filled_;
  insert(id);
}

void Vocabulary::insert(uint32_t id) {
  size_t slot = std::hash<std::string_view>()(text(id)) & (slots_.size() - 1);
  while (slots_[slot] != kNone) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = id;
}

uint32_t Vocabulary::id_of(std::string_view sought) const {
  size_t slot = std::hash<std::string_view>()(sought) & (slots_.size() - 1);
  while (slots_[slot] != kNone && text(slots_[slot]) != sought) slot = (slot + 1) & (slots_.size() - 1);
  return slots_[slot];
}

}  // namespace lora
