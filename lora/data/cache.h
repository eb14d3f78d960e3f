#pragma once
// Where prepared datasets are kept between runs, and under which names.
//
// DIRECTORY/KEY.tokens is a dataset (token_file.h), KEY.labels a classifier's labels (labels.h); KEY is a SHA-256 of
// all that decides what is in it, so that nothing is ever out of date: another source, tokenizer, option or build of
// lora/data is another file. Written beside its place and renamed, so that runs may make the same one at once.
// DIRECTORY/hashes/ has what is known of large source files.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/dataset.h"
#include "lora/data/tokenizer.h"

namespace lora {

struct CacheOptions {
  std::filesystem::path directory = {};  // empty: no cache
  std::string options = {};              // all that decides what samples are made of the sources' rows, as text
  std::vector<std::string> beside = {};  // other sources' paths, whose bytes decide it too
  bool keep = true;                      // what is made; else the cache is only looked at
};

// The directory that data.cache_dir means: `auto` is lora-train/ in XDG_CACHE_HOME, or in ~/.cache; empty is none.
std::filesystem::path cache_directory(const std::string& cache_dir);

// Makes the directory where it is missing. StorageError where it cannot be written to, or where others than this user
// may write to it: what is found in it is believed.
void open_cache(const std::filesystem::path& directory);

// The SHA-256 of a regular file. That of a file of more than 8 MiB is kept in the directory, and believed again while
// the file's device, inode, size and times of modification and of change are the same; noted anew where `keep`.
SourceFile hash_source(const std::string& path, const std::filesystem::path& directory, bool keep);

// 64 hexadecimal digits. The tokenizer may be null where it decides nothing. None where the bytes that decide cannot be
// known before they are read: of standard input, or of a tokenizer without files. Throws DataError for a source that
// cannot be read.
struct CacheKey {
  std::string text;
  std::vector<SourceFile> files;  // of the sources
};
std::optional<CacheKey> cache_key(const std::vector<DataSource>& sources, const Tokenizer* tokenizer,
                                  const CacheOptions& options);

// Removes what no run has used for thirty days, and what killed runs left behind.
void prune_cache(const std::filesystem::path& directory);

// Marks a file as used today.
void touch_cached(const std::filesystem::path& file);

}  // namespace lora
