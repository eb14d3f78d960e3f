// Prepared datasets in files: what is found again, what is made anew, and what is not believed.

#include "lora/data/cache.h"

#include <ATen/Parallel.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "lora/data/load.h"
#include "lora/data/token_file.h"
#include "models/base/error.h"
#include "models/base/sha256.h"
#include "tests/catch.h"
#include "tests/data/data_files.h"
#include "tests/data/piece_tokenizer.h"

namespace lora::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

// One whose pieces are in a file, as those of a real one are.
class FileTokenizer : public PieceTokenizer {
 public:
  explicit FileTokenizer(fs::path file) : PieceTokenizer({"00", "12"}), file_(std::move(file)) {}
  std::vector<fs::path> files() const override { return {file_}; }

 private:
  fs::path file_;
};

struct Fixture {
  Fixture() : source(files.add("a.jsonl", numbered_rows(5'000), "completion")), tokenizer(files.path("pieces")) {
    write_bytes(files.path("pieces"), "00 12");
    options.max_length = 6;
    options.cache.directory = files.path("cache");
    options.cache.options = "options";
  }
  LoadedDataset load() const { return load_dataset({source}, tokenizer, options); }
  fs::path token_file() const {
    for (const auto& entry : fs::directory_iterator(options.cache.directory)) {
      if (entry.path().extension() == ".tokens") return entry.path();
    }
    return {};
  }

  DataFiles files;
  DataSource source;
  FileTokenizer tokenizer;
  LoadOptions options;
};

TEST_CASE("a dataset in memory, just kept and found again is the same, on any number of threads") {
  Fixture fixture;
  const int threads = at::get_num_threads();
  LoadOptions uncached = fixture.options;
  uncached.cache = {};
  const LoadedDataset memory = load_dataset({fixture.source}, fixture.tokenizer, uncached);
  CHECK_FALSE(memory.mapped());
  CHECK(memory.cache.empty());
  CHECK(memory.size() == 5'000);
  at::set_num_threads(2);
  const LoadedDataset kept = fixture.load();
  CHECK(kept.mapped());
  CHECK_THAT(kept.cache, StartsWith("kept in "));
  at::set_num_threads(1);
  const LoadedDataset found = fixture.load();
  at::set_num_threads(threads);
  CHECK_THAT(found.cache, StartsWith("found in "));
  CHECK(same(memory, kept));
  CHECK(same(memory, found));
  const std::vector<SourceFile> files = {
      {fixture.source.path, static_cast<int64_t>(numbered_rows(5'000).size()), sha256_of(numbered_rows(5'000))}};
  CHECK((found.index().files == files));
}

TEST_CASE("whatever decides the samples is part of the key") {
  Fixture fixture;
  const auto found = [&] { return fixture.load().cache.starts_with("found"); };
  CHECK_FALSE(found());
  CHECK(found());
  SECTION("the source's bytes") { fixture.files.add("a.jsonl", numbered_rows(4'999) + numbered_rows(1), ""); }
  SECTION("the tokenizer's bytes") { write_bytes(fixture.files.path("pieces"), "00 13"); }
  SECTION("a template beside them") { write_bytes(fixture.files.path("chat_template.jinja"), "x"); }
  SECTION("max_length") { fixture.options.max_length = 7; }
  SECTION("the recipe's options") { fixture.options.cache.options = "other"; }
  SECTION("the bytes of other sources that the filter goes by") {
    fixture.options.cache.beside = {fixture.source.path};
  }
  SECTION("the file") {
    fs::copy(fixture.source.path, fixture.files.path("b.jsonl"));
    fixture.source.path = fixture.files.path("b.jsonl");
  }
  CHECK_FALSE(found());
  CHECK(found());
}

TEST_CASE("a file with the old size and time but other bytes is seen") {
  Fixture fixture;
  std::string big = numbered_rows(1);
  while (big.size() < (size_t{9} << 20)) big += big;
  fixture.source = fixture.files.add("big.jsonl", big, "completion");
  const auto time = fs::last_write_time(fixture.source.path);
  const SourceFile before = hash_source(fixture.source.path, fixture.options.cache.directory, true);
  CHECK(before.sha256 == sha256_of(big));
  CHECK(hash_source(fixture.source.path, fixture.options.cache.directory, true) == before);
  big[12] = '7';
  write_bytes(fixture.source.path, big);
  fs::last_write_time(fixture.source.path, time);
  CHECK(hash_source(fixture.source.path, fixture.options.cache.directory, true).sha256 == sha256_of(big));
}

TEST_CASE("a torn or damaged file is made anew") {
  Fixture fixture;
  fixture.load();
  const fs::path file = fixture.token_file();
  const auto size = fs::file_size(file);
  for (const auto& left : {size - 1, size / 2, uintmax_t{39}, uintmax_t{0}}) {
    fs::resize_file(file, left);
    CHECK_THAT(fixture.load().cache, StartsWith("kept in "));
  }
  for (uintmax_t at = 0; at < size; at += size / 61 + 1) {
    {
      std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekg(static_cast<std::streamoff>(at));
      const auto old = static_cast<char>(bytes.get());
      bytes.seekp(static_cast<std::streamoff>(at));
      bytes.put(static_cast<char>(old ^ 0x10));
    }
    CAPTURE(at);
    REQUIRE_FALSE(open_token_file(file));
    fixture.load();
    REQUIRE(open_token_file(file));
  }
}

TEST_CASE("damage in a long file is an error when its samples are read, and leaves others alone") {
  Fixture fixture;
  Dataset dataset;
  Sample sample{std::vector<int32_t>(20'000, 7), std::vector<uint8_t>(20'000, 1)};
  const int64_t count = 800;  // 80 MB
  {
    TokenFileWriter writer(fixture.files.path("long.tokens"));
    for (int64_t i = 0; i < count; ++i) {
      sample.ids[0] = static_cast<int32_t>(i);
      dataset.add(sample);
      if (i % 100 == 0) writer.take(dataset);
    }
    writer.commit(dataset);
  }
  {
    std::fstream bytes(fixture.files.path("long.tokens"), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(100'000 * 400 + 50'000);
    bytes.put(1);
  }
  const auto opened = open_token_file(fixture.files.path("long.tokens"));
  REQUIRE(opened);
  CHECK(opened->size() == count);
  CHECK((*opened)[count - 1].ids[0] == count - 1);
  CHECK((*opened)[0].supervised[19'999] == 1);
  CHECK_THROWS_AS((*opened)[400], StorageError);
  CHECK_THROWS_WITH((*opened)[400], Contains("long.tokens: the bytes from ") && Contains("remove this file"));
}

TEST_CASE("a cache that cannot be used is said to be and left alone") {
  Fixture fixture;
  SECTION("a directory that others may write to") {
    fs::create_directory(fixture.options.cache.directory);
    REQUIRE(::chmod(fixture.options.cache.directory.c_str(), 0777) == 0);
    CHECK_THAT(fixture.load().cache, StartsWith("not used: ") && Contains("other users may write to it"));
  }
  SECTION("a file in the directory's place") {
    write_bytes(fixture.options.cache.directory, "x");
    CHECK_THAT(fixture.load().cache, StartsWith("not used: "));
  }
  SECTION("a run that writes nothing") {
    fixture.options.cache.keep = false;
    CHECK_THAT(fixture.load().cache, StartsWith("not kept: "));
    CHECK_FALSE(fs::exists(fixture.options.cache.directory));
  }
  CHECK(fixture.load().size() == 5'000);
}

TEST_CASE("the directory is the user's alone, and runs at once make the same file") {
  Fixture fixture;
  std::vector<std::thread> threads;
  std::vector<int64_t> sizes(4);
  for (size_t i = 0; i < sizes.size(); ++i) threads.emplace_back([&, i] { sizes[i] = fixture.load().size(); });
  for (std::thread& thread : threads) thread.join();
  CHECK(sizes == std::vector<int64_t>(4, 5'000));
  CHECK(fixture.load().cache.starts_with("found"));
  CHECK((fs::status(fixture.options.cache.directory).permissions() & fs::perms(0077)) == fs::perms::none);
}

TEST_CASE("rows passed over and what they were are kept too") {
  Fixture fixture;
  fixture.source = fixture.files.add("bad.jsonl", numbered_rows(3) + "no\n", "completion");
  CHECK_THROWS_WITH(fixture.load(), Contains("bad.jsonl:4"));
  CHECK(fixture.token_file().empty());
  fixture.options.data.on_error = OnError::kSkip;
  const LoadedDataset kept = fixture.load(), found = fixture.load();
  CHECK(found.cache.starts_with("found"));
  CHECK(found.index().bad_rows == kept.index().bad_rows);
  REQUIRE(found.index().bad_rows.size() == 1);
  CHECK(found.sources()[0].counts.unreadable == 1);
  CHECK(found.sources()[0].counts.rows == 4);
}

TEST_CASE("what was not used for long is removed") {
  Fixture fixture;
  fixture.load();
  const fs::path old = fixture.options.cache.directory / "0123.tokens",
                 others = fixture.options.cache.directory / "mine";
  write_bytes(old, "x");
  write_bytes(others, "x");
  for (const fs::path& path : {old, others}) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours{31 * 24});
  }
  prune_cache(fixture.options.cache.directory);
  CHECK_FALSE(fs::exists(old));
  CHECK(fs::exists(others));
  CHECK(fixture.load().cache.starts_with("found"));
}

}  // namespace
}  // namespace lora::test
