#pragma once
// A shuffle that is the same on every platform, because a resumed run must reproduce the order. std::shuffle and the
// standard distributions differ between implementations.

#include <cstdint>
#include <utility>
#include <vector>

namespace lora {

// SplitMix64 (Steele, Lea and Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // Uniform in [0, bound), bound > 0. Rejects the 2^64 mod bound lowest draws to avoid the bias of a modulo.
  uint64_t below(uint64_t bound) {
    const uint64_t rejected = (0 - bound) % bound;
    uint64_t draw = next();
    while (draw < rejected) draw = next();
    return draw % bound;
  }

 private:
  uint64_t state_;
};

// Fisher-Yates, from the last element.
template <typename T>
void shuffle(std::vector<T>& values, SplitMix64& random) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

}  // namespace lora
