// A file of the token cache. Its last 40 bytes have sizes, a checksum of the index and the version; the checksum is
// made to fit, which no mutation would. What is read is written, and read back to the same. No input: no such file.

#include "lora/data/token_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "tests/fuzz/target.h"

namespace {

using lora::Dataset, lora::SampleView;

std::string with_checksum(std::string bytes) {
  // The footer: bytes of samples, of numbers and of JSON (u64 each), the CRC-32 of the last two, version, "loratoks".
  constexpr size_t kFooter = 40;
  if (bytes.size() < kFooter) return bytes;
  uint64_t sizes[3];
  char* footer = bytes.data() + bytes.size() - kFooter;
  std::memcpy(sizes, footer, sizeof sizes);
  const size_t before = bytes.size() - kFooter;
  if (sizes[1] > before || sizes[2] > before - sizes[1]) return bytes;
  const size_t index = static_cast<size_t>(sizes[1] + sizes[2]);
  const auto crc =
      static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(footer - index), static_cast<uInt>(index)));
  std::memcpy(footer + sizeof sizes, &crc, sizeof crc);
  return bytes;
}

template <typename T>
bool same_values(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

bool same_token_index(const lora::DatasetIndex& a, const lora::DatasetIndex& b) {
  return a.lengths == b.lengths && a.labels == b.labels && same_values(a.forks, b.forks) &&
         same_values(a.values, b.values) && a.used_ids == b.used_ids && a.sources == b.sources && a.files == b.files &&
         a.bad_rows == b.bad_rows && a.notes == b.notes && a.tokens == b.tokens &&
         a.supervised_tokens == b.supervised_tokens && a.longest == b.longest;
}

// Writes the samples and the index, and reads them again.
void check_written_tokens(const Dataset& read) {
  Dataset copy;
  for (int64_t i = 0; i < read.size(); ++i) copy.add(read[i]);
  copy.edit_index() = read.index();
  const auto path = lora::test::input_directory() / "written.tokens";
  lora::TokenFileWriter(path).commit(copy);
  const auto again = lora::open_token_file(path);
  if (!again || !same_token_index(again->index(), read.index())) ::abort();
  for (int64_t i = 0; i < read.size(); ++i) {
    const SampleView a = read[i], b = (*again)[i];
    if (!std::ranges::equal(a.ids, b.ids) || !std::ranges::equal(a.supervised, b.supervised)) ::abort();
  }
}

}  // namespace

FUZZ_TARGET(token_file) {
  const auto path = lora::test::input_directory() / "read.tokens";
  std::filesystem::remove(path);
  if (!input.empty()) lora::test::write_input(path, with_checksum(std::string(input)));
  const auto dataset = lora::open_token_file(path);
  if (!dataset) return;
  // A dataset in memory has a bit for each id up to the highest.
  constexpr int32_t kMostIds = 1 << 16;
  bool adds = true;
  for (int64_t sample = 0; sample < dataset->size(); ++sample) {
    for (const int32_t id : (*dataset)[sample].ids) adds &= id >= 0 && id < kMostIds;
  }
  if (adds) check_written_tokens(*dataset);
}
