// A file of the token cache. Its last 40 bytes have sizes, a checksum of the index and the version; the checksum is
// made to fit, which no mutation would.

#include "lora/data/token_file.h"

#include <zlib.h>

#include <cstring>

#include "tests/fuzz/target.h"

FUZZ_TARGET(token_file) {
  std::string bytes(input);
  // The footer: bytes of samples, of numbers and of JSON (u64 each), the CRC-32 of the last two, version, "loratoks".
  constexpr size_t kFooter = 40;
  if (bytes.size() >= kFooter) {
    uint64_t sizes[3];
    char* footer = bytes.data() + bytes.size() - kFooter;
    std::memcpy(sizes, footer, sizeof sizes);
    const size_t before = bytes.size() - kFooter;
    if (sizes[1] <= before && sizes[2] <= before - sizes[1]) {
      const size_t index = static_cast<size_t>(sizes[1] + sizes[2]);
      const auto crc =
          static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(footer - index), static_cast<uInt>(index)));
      std::memcpy(footer + sizeof sizes, &crc, sizeof crc);
    }
  }
  const lora::test::MemoryFile file(bytes);
  const auto dataset = lora::open_token_file(file.path());
  if (!dataset) return;
  int64_t tokens = 0;
  for (int64_t sample = 0; sample < dataset->size(); ++sample) {
    const lora::SampleView view = (*dataset)[sample];
    for (const int32_t id : view.ids) tokens += id != 0;
    for (const auto target : view.supervised) tokens += target != 0;
  }
  if (tokens < 0) ::abort();
}
