#include "lora/data/cleaning/shingles.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lora {
namespace {

constexpr uint64_t kTail = 0xd6e8feb86659fd93u;

// SplitMix64's finalizer.
uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// True if every byte is ASCII, so that each byte is a character.
bool all_ascii(std::string_view text) {
  unsigned char any = 0;
  for (const char c : text) any |= static_cast<unsigned char>(c);
  return any < 0x80;
}

uint64_t little_endian(const char* bytes, size_t count) {
  uint64_t word = 0;
  for (size_t i = 0; i < count; ++i) word |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return word;
}

uint32_t short_hash(std::string_view bytes) { return static_cast<uint32_t>(hash_bytes(bytes, 0) >> 32); }

// The start of each unit of the text, and the end of the text.
std::vector<uint32_t> unit_begins(std::string_view text, bool words) {
  std::vector<uint32_t> begins;
  begins.reserve(words ? text.size() / 4 + 2 : text.size() + 1);
  for (size_t i = 0; i < text.size(); ++i) {
    const bool begin =
        words ? text[i] != ' ' && (i == 0 || text[i - 1] == ' ') : (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (begin || i == 0) begins.push_back(static_cast<uint32_t>(i));
  }
  begins.push_back(static_cast<uint32_t>(text.size() + (words ? 1 : 0)));  // as if a space followed
  return begins;
}

// short_hash() of every n-gram of fewer than 8 bytes. Each is computed from the previous one and one new byte.
std::vector<uint32_t> short_shingles(std::string_view text, size_t size) {
  std::vector<uint32_t> hashes(text.size() - size + 1);
  const uint64_t begin = mixed(0x9e3779b97f4a7c15u + size) ^ kTail;
  const size_t top = 8 * (size - 1);
  uint64_t word = little_endian(text.data(), size - 1) << 8;
  for (size_t i = 0; i < hashes.size(); ++i) {
    word = word >> 8 | static_cast<uint64_t>(static_cast<unsigned char>(text[i + size - 1])) << top;
    hashes[i] = static_cast<uint32_t>(mixed(begin ^ word) >> 32);
  }
  return hashes;
}

// Sorts ascending. Hashes are uniform: the upper bits give the approximate position, and insertion sort does the rest.
void sort_hashes(std::vector<uint32_t>& hashes) {
  constexpr size_t kBuckets = 512, kFew = 64, kMany = 8192;
  if (hashes.size() < kFew || hashes.size() > kMany) {
    std::sort(hashes.begin(), hashes.end());
    return;
  }
  std::array<uint32_t, kBuckets> ends{};
  for (const uint32_t hash : hashes) ++ends[hash >> 23];
  uint32_t before = 0;
  for (uint32_t& end : ends) end = std::exchange(before, before + end);
  std::vector<uint32_t> sorted(hashes.size());
  for (const uint32_t hash : hashes) sorted[ends[hash >> 23]++] = hash;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    if (end - begin > 32) {  // a repeated n-gram
      std::sort(sorted.begin() + begin, sorted.begin() + end);
    } else {
      for (uint32_t i = begin + 1; i < end; ++i) {
        const uint32_t hash = sorted[i];
        uint32_t at = i;
        for (; at > begin && sorted[at - 1] > hash; --at) sorted[at] = sorted[at - 1];
        sorted[at] = hash;
      }
    }
    begin = end;
  }
  hashes.swap(sorted);
}

}  // namespace

uint64_t hash_bytes(std::string_view bytes, uint64_t seed) {
  uint64_t hash = mixed(seed + 0x9e3779b97f4a7c15u + bytes.size());
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) hash = mixed(hash ^ little_endian(bytes.data() + at, 8));
  return mixed(hash ^ little_endian(bytes.data() + at, bytes.size() - at) ^ kTail);
}

std::vector<uint32_t> shingles(std::string_view text, const Shingling& shingling) {
  std::vector<uint32_t> hashes;
  if (text.empty()) return hashes;
  if (!shingling.words && shingling.size < 8 && text.size() >= shingling.size && all_ascii(text)) {
    return short_shingles(text, shingling.size);
  }
  const std::vector<uint32_t> begins = unit_begins(text, shingling.words);
  const size_t units = begins.size() - 1, last_byte = shingling.words ? 1 : 0;
  if (units < shingling.size) return {short_hash(text)};
  hashes.reserve(units - shingling.size + 1);
  for (size_t i = 0; i + shingling.size <= units; ++i) {
    const size_t begin = begins[i], end = begins[i + shingling.size] - last_byte;
    hashes.push_back(short_hash(text.substr(begin, end - begin)));
  }
  return hashes;
}

void make_set(std::vector<uint32_t>& hashes) {
  sort_hashes(hashes);
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

void make_sketch(std::vector<uint32_t>& set) {
  if (set.size() > kSketch) set.resize(kSketch);
}

double jaccard(const uint32_t* a, size_t a_size, const uint32_t* b, size_t b_size) {
  const bool whole = a_size < kSketch && b_size < kSketch;
  const size_t most = whole ? a_size + b_size : kSketch;
  size_t i = 0, j = 0, united = 0, shared = 0;
  for (; united < most && (i < a_size || j < b_size); ++united) {
    const bool take_a = j == b_size || (i < a_size && a[i] <= b[j]);
    const bool take_b = i == a_size || (j < b_size && b[j] <= a[i]);
    shared += take_a && take_b;
    i += take_a;
    j += take_b;
  }
  return united == 0 ? 0.0 : static_cast<double>(shared) / static_cast<double>(united);
}

}  // namespace lora
