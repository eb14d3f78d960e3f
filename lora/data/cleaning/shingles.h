#pragma once
// Represents texts as sets of hashed n-grams ("shingles"; Leskovec, Rajaraman and Ullman: Mining of Massive Datasets,
// ch. 3.2).

#include <cstdint>
#include <string_view>
#include <vector>

namespace lora {

// A 64-bit hash, the same on every platform. Not secure against chosen inputs.
uint64_t hash_bytes(std::string_view bytes, uint64_t seed);

struct Shingling {
  bool words;   // n-grams of words; false: of characters
  size_t size;  // n > 0
};

// The hashes of the n-grams of normalised_words(text), in order, with repetitions. A text shorter than n is one n-gram;
// an empty text has none.
std::vector<uint32_t> shingles(std::string_view text, const Shingling& shingling);

// Sorts ascending and removes repetitions.
void make_set(std::vector<uint32_t>& hashes);

// Keeps the `kSketch` smallest hashes of a set from make_set(), or all of a smaller set (Broder 1997, "bottom k").
inline constexpr size_t kSketch = 256;
void make_sketch(std::vector<uint32_t>& set);

// The Jaccard similarity of two sets, from their sketches. Exact if both sketches are complete; otherwise estimated
// from the kSketch smallest hashes of the union, with a standard error of at most 0.03. 0 for two empty sets.
double jaccard(const uint32_t* a, size_t a_size, const uint32_t* b, size_t b_size);

}  // namespace lora
