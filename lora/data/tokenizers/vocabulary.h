#pragma once
// Maps texts to ids and ids to texts.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// SentencePiece's character for a space inside a piece.
inline constexpr std::string_view kSpacePiece = "\u2581";

class Vocabulary {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  Vocabulary() : Vocabulary(0, 0) {}
  // Reserves memory for `count` texts with `bytes` bytes in total.
  Vocabulary(size_t count, size_t bytes);

  // Adds a text with a new id. With found = false, id_of() does not find the text.
  void add(std::string_view text, uint32_t id, bool found = true);

  // kNone for an unknown text.
  uint32_t id_of(std::string_view text) const;
  // Empty for an unknown id.
  std::string_view text(uint32_t id) const {
    return id < places_.size() ? std::string_view(bytes_).substr(places_[id].begin, places_[id].length)
                               : std::string_view();
  }
  bool has(uint32_t id) const { return id < places_.size() && places_[id].used; }
  // The largest id plus one.
  size_t size() const { return places_.size(); }

 private:
  struct Place {
    uint32_t begin = 0, length = 0;
    bool used = false;
  };
  void insert(uint32_t id);

  std::string bytes_;
  std::vector<Place> places_;    // by id
  std::vector<uint32_t> slots_;  // open addressing, ids or kNone; the size is a power of two
  size_t filled_ = 0;
};

}  // namespace lora
