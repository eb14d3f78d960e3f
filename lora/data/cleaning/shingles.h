#pragma once
// Texts as sets of n-grams ("shingles"; Leskovec, Rajaraman and Ullman: Mining of Massive Datasets, ch. 3.2), hashed.

#include <cstdint>
#include <string_view>
#include <vector>

namespace lora {

// 64 bits of any bytes, the same on every platform. Not for anything that an adversary may choose.
uint64_t hash_bytes(std::string_view bytes, uint64_t seed);

struct Shingling {
  bool words;   // n-grams of words, or of characters
  size_t size;  // n > 0
};

// The hashes of the text's n-grams in order, some of them perhaps several times. The text is taken as
// normalised_words() gives it. One shorter than an n-gram is one n-gram; an empty one has none.
std::vector<uint32_t> shingles(std::string_view text, const Shingling& shingling);

// Ascending, each once.
void make_set(std::vector<uint32_t>& hashes);

// The `kSketch` smallest of a set that make_set() made: all of it where it is no larger (Broder 1997, "bottom k").
inline constexpr size_t kSketch = 256;
void make_sketch(std::vector<uint32_t>& set);

// The Jaccard similarity of two sets by their sketches: exact where both are whole; else of the kSketch smallest of the
// union, whose standard error is at most 0.03. Two empty sets have 0.
double jaccard(const uint32_t* a, size_t a_size, const uint32_t* b, size_t b_size);

}  // namespace lora
