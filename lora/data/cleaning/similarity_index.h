#pragma once
// Finds texts that are alike among those seen before, as they come.
//
// MinHash-LSH proposes texts and the Jaccard similarity of their n-grams (shingles.h) decides: none below the threshold
// is found, but for the sketch's error in long texts, and one above it is missed as seldom as choose_banding() says.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lora/data/cleaning/lsh.h"
#include "lora/data/cleaning/shingles.h"

namespace lora {

// What is kept of some texts: 1 KiB at most of each, and four bytes a band.
struct Fingerprints {
  std::vector<std::vector<uint32_t>> sketches;  // empty for a text without letters and digits
  std::vector<uint32_t> bands;                  // (texts, bands)
  int64_t size() const { return static_cast<int64_t>(sketches.size()); }
};

// On ATen's threads; the result does not depend on how many there are.
Fingerprints fingerprints(std::span<const std::string> texts, const Shingling& shingling, const BandHasher& hasher);

struct Match {
  int64_t id = -1;  // none
  double similarity = 0;
};

// Texts without letters and digits are like nothing. Not to be changed while another thread reads.
class SimilarityIndex {
 public:
  // Similarities from `threshold` on; `bands` as the fingerprints have them.
  SimilarityIndex(int64_t bands, double threshold);

  // The text of the lowest id among those inserted with an id of at least `since` that is alike.
  Match find(const Fingerprints& prints, int64_t text, int64_t since = 0) const;
  // find() of every text, on ATen's threads.
  std::vector<Match> find_all(const Fingerprints& prints) const;

  // Ids must rise. Of texts that share a band, the first 64 can be found by it: a text that is like none of many that
  // are nearly like it does not make finding slow.
  void insert(const Fingerprints& prints, int64_t text, int64_t id);

 private:
  // The entries of one band: chains of those with the same hash, newest first, found by open addressing.
  struct Table {
    std::vector<uint32_t> heads;  // entry + 1; 0: free. A power of two.
    std::vector<uint32_t> next;   // of each entry, entry + 1; 0: the last
    size_t used = 0;
  };

  uint32_t hash_of(uint32_t entry, size_t band) const { return bands_of_[entry * bands_ + band]; }
  size_t slot(const Table& table, size_t band, uint32_t hash) const;
  void grow(Table& table, size_t band) const;
  std::span<const uint32_t> sketch(uint32_t entry) const;

  size_t bands_;
  double threshold_;
  std::vector<Table> tables_;
  std::vector<int64_t> ids_;          // of each entry
  std::vector<uint32_t> bands_of_;    // (entries, bands)
  std::vector<uint32_t> sketches_;    // end to end
  std::vector<size_t> begins_ = {0};  // of each entry's sketch, and the end
};

}  // namespace lora
