#pragma once
// Texts and their ids, both ways.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// A space inside a piece, as SentencePiece has it.
inline constexpr std::string_view kSpacePiece = "\u2581";

class Vocabulary {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  Vocabulary() : Vocabulary(0, 0) {}
  // Room for `count` texts of `bytes` bytes together.
  Vocabulary(size_t count, size_t bytes);

  // The text of a new id. One that is not to be found by its text has found = false.
  void add(std::string_view text, uint32_t id, bool found = true);

  // kNone where there is no such text.
  uint32_t id_of(std::string_view text) const;
  // Empty where there is no such id.
  std::string_view text(uint32_t id) const {
    return id < places_.size() ? std::string_view(bytes_).substr(places_[id].begin, places_[id].length)
                               : std::string_view();
  }
  bool has(uint32_t id) const { return id < places_.size() && places_[id].used; }
  // The largest id and one.
  size_t size() const { return places_.size(); }

 private:
  struct Place {
    uint32_t begin = 0, length = 0;
    bool used = false;
  };
  void insert(uint32_t id);

  std::string bytes_;
  std::vector<Place> places_;    // by id
  std::vector<uint32_t> slots_;  // open addressing, a power of two; ids or kNone
  size_t filled_ = 0;
};

}  // namespace lora
