#pragma once
// Finds similar texts among the texts seen so far.
//
// MinHash-LSH proposes candidates; the Jaccard similarity of the n-grams (shingles.h) decides. A text below the
// threshold is never returned, except for the sketch's error in long texts. choose_banding() gives the probability of
// missing a text above it.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lora/data/cleaning/lsh.h"
#include "lora/data/cleaning/shingles.h"

namespace lora {

// What the index keeps of some texts: per text at most 1 KiB, plus four bytes per band.
struct Fingerprints {
  std::vector<std::vector<uint32_t>> sketches;  // empty for a text without letters and digits
  std::vector<uint32_t> bands;                  // (texts, bands)
  int64_t size() const { return static_cast<int64_t>(sketches.size()); }
};

// Runs on ATen's threads. The result does not depend on their number.
Fingerprints fingerprints(std::span<const std::string> texts, const Shingling& shingling, const BandHasher& hasher);

struct Match {
  int64_t id = -1;  // none
  double similarity = 0;
};

// A text without letters and digits is not similar to any text. Do not change the index while another thread reads it.
class SimilarityIndex {
 public:
  // Finds similarities of at least `threshold`. `bands` must be that of the fingerprints.
  SimilarityIndex(int64_t bands, double threshold);

  // The similar text with the lowest id among the inserted texts with id >= `since`.
  Match find(const Fingerprints& prints, int64_t text, int64_t since = 0) const;
  // find() for every text, on ATen's threads.
  std::vector<Match> find_all(const Fingerprints& prints) const;

  // Ids must increase. Within a band, only the first 64 texts with the same hash can be found. This bounds the cost for
  // a text that nearly matches many others.
  void insert(const Fingerprints& prints, int64_t text, int64_t id);

 private:
  // The entries of one band: linked lists of entries with the same hash, newest first, found by open addressing.
  struct Table {
    std::vector<uint32_t> heads;  // entry + 1; 0: free. The size is a power of two.
    std::vector<uint32_t> next;   // per entry: entry + 1; 0: end of the list
    size_t used = 0;
  };

  uint32_t hash_of(uint32_t entry, size_t band) const { return bands_of_[entry * bands_ + band]; }
  size_t slot(const Table& table, size_t band, uint32_t hash) const;
  void grow(Table& table, size_t band) const;
  std::span<const uint32_t> sketch(uint32_t entry) const;

  size_t bands_;
  double threshold_;
  std::vector<Table> tables_;
  std::vector<int64_t> ids_;          // per entry
  std::vector<uint32_t> bands_of_;    // (entries, bands)
  std::vector<uint32_t> sketches_;    // concatenated
  std::vector<size_t> begins_ = {0};  // start of each entry's sketch, and the end
};

}  // namespace lora
