#pragma once
// Caches the tokens of words: text repeats words, and a lookup is cheaper than merging.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// A token of a word, and the number of bytes that it represents.
struct WordToken {
  uint32_t id;
  uint32_t length;
};

// For one thread. Holds a few MB at most; when it is full, it is cleared.
class WordCache {
 public:
  struct Slot {
    uint64_t hash = 0;  // 0: free
    uint32_t word = 0, word_length = 0, tokens = 0, token_count = 0;
  };
  static constexpr size_t kLongestWord = 128;

  static uint64_t hash(std::string_view word) { return std::hash<std::string_view>()(word) | 1; }

  // Null if the word is not cached.
  const Slot* find(std::string_view word, uint64_t hash) const {
    for (size_t i = hash >> 1 & mask();; i = (i + 1) & mask()) {
      const Slot& slot = slots_[i];
      if (slot.hash == 0) return nullptr;
      if (slot.hash == hash && std::string_view(words_).substr(slot.word, slot.word_length) == word) return &slot;
    }
  }

  std::span<const WordToken> tokens(const Slot& slot) const {
    return std::span(tokens_).subspan(slot.tokens, slot.token_count);
  }

  // Adds a word that is not cached.
  void insert(std::string_view word, uint64_t hash, std::span<const WordToken> tokens) {
    if (word.size() > kLongestWord) return;
    if (filled_ == kMostWords) clear();
    if (2 * (filled_ + 1) > slots_.size()) grow();
    place({hash, static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(word.size()),
           static_cast<uint32_t>(tokens_.size()), static_cast<uint32_t>(tokens.size())});
    words_.append(word);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    ++filled_;
  }

 private:
  static constexpr size_t kMostWords = 1 << 16;

  size_t mask() const { return slots_.size() - 1; }

  void place(const Slot& slot) {
    size_t i = slot.hash >> 1 & mask();
    while (slots_[i].hash != 0) i = (i + 1) & mask();
    slots_[i] = slot;
  }

  void grow() {
    std::vector<Slot> before(2 * slots_.size());
    before.swap(slots_);
    for (const Slot& slot : before) {
      if (slot.hash != 0) place(slot);
    }
  }

  void clear() {
    std::fill(slots_.begin(), slots_.end(), Slot());
    words_.clear();
    tokens_.clear();
    filled_ = 0;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1 << 10);
  std::string words_;
  std::vector<WordToken> tokens_;
  size_t filled_ = 0;
};

}  // namespace lora
