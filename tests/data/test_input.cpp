// The bytes of files: packed, in several files, damaged.

#include "lora/data/input.h"

#include <zlib.h>
#include <zstd.h>

#include "lora/data/shuffle.h"
#include "models/base/error.h"
#include "models/base/sha256.h"
#include "tests/catch.h"
#include "tests/data/data_files.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

std::string gzipped(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string zstd_packed(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

std::string read_all(const std::string& path) {
  Input input(path);
  std::string all, line;
  while (input.read_line(line) != Input::Line::kEnd) all += line + "\n";
  return all;
}

std::string lines(int count) {
  std::string text;
  SplitMix64 random(1);
  for (int i = 0; i < count; ++i) text += "line " + std::to_string(random.next()) + "\n";
  return text;
}

TEST_CASE("packed files read as what was packed, whatever they are called, streams end to end too") {
  const DataFiles files;
  for (const int count : {0, 1, 50'000}) {
    const std::string text = lines(count), more = lines(3);
    for (const std::string& packed :
         {gzipped(text) + gzipped(more), zstd_packed(text) + zstd_packed(more), text + more}) {
      const auto source = files.add("a.jsonl", packed, "text");
      CHECK(read_all(source.path) == text + more);
      Input input(source.path);
      const SourceFile file = input.finish();
      CHECK(file.bytes == static_cast<int64_t>(packed.size()));
      CHECK(file.sha256 == sha256_of(packed));
    }
  }
}

TEST_CASE("a packed file that ends early or is damaged is refused") {
  const DataFiles files;
  const std::string text = lines(5'000);
  for (const std::string& packed : {gzipped(text), zstd_packed(text)}) {
    const auto cut = files.add("cut", packed.substr(0, packed.size() - 3), "text");
    CHECK_THROWS_WITH(read_all(cut.path), Contains("cut: the ") && Contains("stream ends early"));
    std::string bytes = packed;
    for (size_t i = 30; i < 60; ++i) bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
    const auto damaged = files.add("damaged", bytes, "text");
    CHECK_THROWS_WITH(read_all(damaged.path), Contains("damaged: damaged "));
  }
}

TEST_CASE("damage of packed files ends in text or a DataError") {
  const DataFiles files;
  SplitMix64 random(4);
  const std::string text = lines(200), gzip = gzipped(text), zstd = zstd_packed(text);
  int refused = 0;
  for (int round = 0; round < 600; ++round) {
    std::string bytes = round % 2 ? gzip : zstd;
    for (uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      bytes[4 + random.below(bytes.size() - 4)] = static_cast<char>(random.next());
    }
    if (random.below(3) == 0) bytes.resize(random.below(bytes.size()));
    try {
      read_all(files.add("a", bytes, "text").path);
    } catch (const DataError&) {
      ++refused;
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("a pattern is its files in byte order, a name with its characters is itself") {
  const DataFiles files;
  for (const char* name : {"b-2.jsonl", "b-10.jsonl", "B.jsonl", "other.csv"}) files.add(name, "", "text");
  const auto pattern = files.path("*.jsonl").string();
  CHECK(matching_files(pattern) ==
        std::vector<std::string>{files.path("B.jsonl"), files.path("b-10.jsonl"), files.path("b-2.jsonl")});
  CHECK(matching_files(files.path("no.jsonl")) == std::vector<std::string>{files.path("no.jsonl")});
  files.add("a[1].jsonl", "", "text");
  CHECK(matching_files(files.path("a[1].jsonl")) == std::vector<std::string>{files.path("a[1].jsonl")});
  CHECK_THROWS_WITH(matching_files(files.path("*.tsv")), Contains("*.tsv: no file matches this pattern"));
}

TEST_CASE("lines end in LF or CRLF, and one that is too long is passed by") {
  const DataFiles files;
  const auto source = files.add("a", "a\r\n\n" + std::string(kMostRecordBytes + 1, 'x') + "\nb", "text");
  Input input(source.path);
  std::string line;
  CHECK(input.read_line(line) == Input::Line::kWhole);
  CHECK(line == "a");
  CHECK(input.read_line(line) == Input::Line::kWhole);
  CHECK(line.empty());
  CHECK(input.read_line(line) == Input::Line::kTooLong);
  CHECK(line.size() <= kMostRecordBytes);
  CHECK(input.read_line(line) == Input::Line::kWhole);
  CHECK(line == "b");
  CHECK(input.read_line(line) == Input::Line::kEnd);
}

}  // namespace
}  // namespace lora::test
