#include "lora/data/cleaning/similarity_index.h"

#include <algorithm>

#include "lora/data/cleaning/normalise.h"
#include "models/base/threads.h"

namespace lora {
namespace {

constexpr size_t kMostInChain = 64;

}  // namespace

Fingerprints fingerprints(std::span<const std::string> texts, const Shingling& shingling, const BandHasher& hasher) {
  const auto bands = static_cast<size_t>(hasher.banding().bands);
  Fingerprints prints;
  prints.sketches.resize(texts.size());
  prints.bands.resize(texts.size() * bands);
  parallel_for(static_cast<int64_t>(texts.size()), 16, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      std::vector<uint32_t> hashes = shingles(normalised_words(texts[i]), shingling);
      make_set(hashes);
      hasher(hashes, prints.bands.data() + i * bands);
      make_sketch(hashes);
      prints.sketches[i] = std::move(hashes);
    }
  });
  return prints;
}

SimilarityIndex::SimilarityIndex(int64_t bands, double threshold)
    : bands_(static_cast<size_t>(bands)), threshold_(threshold), tables_(bands_) {
  for (Table& table : tables_) table.heads.resize(1024);
}

std::span<const uint32_t> SimilarityIndex::sketch(uint32_t entry) const {
  return {sketches_.data() + begins_[entry], begins_[entry + 1] - begins_[entry]};
}

size_t SimilarityIndex::slot(const Table& table, size_t band, uint32_t hash) const {
  const size_t mask = table.heads.size() - 1;
  size_t at = hash & mask;
  while (table.heads[at] != 0 && hash_of(table.heads[at] - 1, band) != hash) at = (at + 1) & mask;
  return at;
}

void SimilarityIndex::grow(Table& table, size_t band) const {
  std::vector<uint32_t> heads(table.heads.size() * 2);
  heads.swap(table.heads);
  for (const uint32_t head : heads) {
    if (head != 0) table.heads[slot(table, band, hash_of(head - 1, band))] = head;
  }
}

Match SimilarityIndex::find(const Fingerprints& prints, int64_t text, int64_t since) const {
  const auto& own = prints.sketches[static_cast<size_t>(text)];
  if (own.empty()) return {};
  std::vector<uint32_t> candidates;
  for (size_t band = 0; band < bands_; ++band) {
    const Table& table = tables_[band];
    const uint32_t hash = prints.bands[static_cast<size_t>(text) * bands_ + band];
    for (uint32_t at = table.heads[slot(table, band, hash)]; at != 0 && ids_[at - 1] >= since;
         at = table.next[at - 1]) {
      candidates.push_back(at - 1);
    }
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  for (const uint32_t entry : candidates) {
    const auto found = sketch(entry);
    const double similarity = jaccard(own.data(), own.size(), found.data(), found.size());
    if (similarity >= threshold_) return {ids_[entry], similarity};
  }
  return {};
}

std::vector<Match> SimilarityIndex::find_all(const Fingerprints& prints) const {
  std::vector<Match> matches(prints.sketches.size());
  if (ids_.empty()) return matches;
  parallel_for(prints.size(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) matches[static_cast<size_t>(i)] = find(prints, i);
  });
  return matches;
}

void SimilarityIndex::insert(const Fingerprints& prints, int64_t text, int64_t id) {
  const auto& sketch = prints.sketches[static_cast<size_t>(text)];
  if (sketch.empty()) return;
  const auto entry = static_cast<uint32_t>(ids_.size());
  const auto* hashes = prints.bands.data() + static_cast<size_t>(text) * bands_;
  ids_.push_back(id);
  bands_of_.insert(bands_of_.end(), hashes, hashes + bands_);
  sketches_.insert(sketches_.end(), sketch.begin(), sketch.end());
  begins_.push_back(sketches_.size());
  for (size_t band = 0; band < bands_; ++band) {
    Table& table = tables_[band];
    uint32_t& head = table.heads[slot(table, band, hashes[band])];
    size_t chain = 0;
    for (uint32_t at = head; at != 0 && chain < kMostInChain; at = table.next[at - 1]) ++chain;
    table.next.push_back(head);
    if (chain == kMostInChain) continue;
    head = entry + 1;
    if (chain == 0 && ++table.used * 2 > table.heads.size()) grow(table, band);
  }
}

}  // namespace lora
