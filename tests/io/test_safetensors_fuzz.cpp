// Arbitrary bytes in place of a safetensors file: a valid object or a ModelError, and nothing else.

#include <ATen/ATen.h>

#include <cstring>
#include <random>
#include <string>

#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "tests/catch.h"
#include "tests/temporary_directory.h"

namespace lora {
namespace {

using namespace test;

using Random = std::mt19937_64;

size_t below(Random& random, size_t end) { return end == 0 ? 0 : random() % end; }

// Pieces of JSON and numbers at the edges, which random bytes would take ages to hit upon.
const char* const kPieces[] = {"{",
                               "}",
                               "[",
                               "]",
                               "\"",
                               ",",
                               ":",
                               "-1",
                               "null",
                               "1e999",
                               "0",
                               "[]",
                               "{}",
                               "\"F64\"",
                               "\"w\"",
                               "18446744073709551615",
                               "true",
                               "1.5",
                               "\\u00",
                               "\"U8\"",
                               "\xff",
                               "\"dtype\"",
                               "9223372036854775807"};

void mutate(Random& random, std::string& bytes) {
  const size_t header_end = std::min<size_t>(bytes.size(), 8 + 300);
  switch (below(random, 7)) {
    case 0:
      if (!bytes.empty()) bytes[below(random, bytes.size())] = static_cast<char>(random());
      break;
    case 1:
      if (header_end > 0) bytes[below(random, header_end)] ^= static_cast<char>(1 << below(random, 8));
      break;
    case 2:
      bytes.resize(below(random, bytes.size() + 1));
      break;
    case 3:
      bytes.append(below(random, 16), static_cast<char>(random()));
      break;
    case 4:
      bytes.insert(below(random, header_end + 1), kPieces[below(random, std::size(kPieces))]);
      break;
    case 5:
      bytes.erase(below(random, header_end + 1), below(random, 8));
      break;
    case 6: {  // a number changed in place
      const size_t digit = bytes.find_first_of("0123456789", below(random, header_end + 1));
      if (digit != std::string::npos) bytes[digit] = static_cast<char>('0' + below(random, 10));
      break;
    }
  }
}

// Makes the length field match again, so that the mutation reaches the parser.
void repair_length(std::string& bytes) {
  const size_t end = bytes.find("}}");
  if (bytes.size() < 8 || end == std::string::npos) return;
  const uint64_t length = end + 2 - 8;
  std::memcpy(bytes.data(), &length, sizeof(length));
}

}  // namespace

TEST_CASE("no bytes crash the safetensors reader", "[io]") {
  const TemporaryDirectory directory;
  const auto path = directory / "fuzzed.safetensors";
  write_safetensors(path,
                    {{"w", at::arange(6, at::kFloat).reshape({2, 3})},
                     {"b", at::ones({2}, at::kBFloat16)},
                     {"m", at::ones({3}, at::kBool)},
                     {"e", at::ones({0, 2}, at::kLong)}},
                    {{"format", "pt"}});
  const std::string whole = read_bytes(path);

  Random random(20240229);
  int read = 0;
  int refused = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string bytes = whole;
    for (size_t left = 1 + below(random, 3); left > 0; --left) mutate(random, bytes);
    if (below(random, 2) == 0) repair_length(bytes);
    std::filesystem::remove(path);  // writing over a file waits for the disk on some file systems
    write_bytes(path, bytes);
    try {
      const SafetensorsFile file(path);
      for (const auto& [name, entry] : file.entries()) {
        const at::Tensor tensor = file.tensor(name);
        REQUIRE(tensor.nbytes() == entry.end - entry.begin);
        // Touches every byte.
        REQUIRE(tensor.clone().nbytes() == tensor.nbytes());
      }
      ++read;
    } catch (const ModelError& error) {
      REQUIRE(std::string(error.what()).find("fuzzed.safetensors") != std::string::npos);
      ++refused;
    }
  }
  CHECK(read > 10);
  CHECK(refused > 1000);
}

}  // namespace lora
