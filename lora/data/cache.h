#pragma once
// Stores prepared datasets between runs, and computes their names.
//
// DIRECTORY/KEY.tokens is a dataset (token_file.h); KEY.labels holds a classifier's labels (labels.h). KEY is a SHA-256
// of everything that determines the contents: sources, tokenizer, options and the code of lora/data. A change gives
// another file, so a file is never out of date. Files are written under a temporary name and renamed, so several runs
// may write the same file at once. DIRECTORY/hashes/ holds the hashes of large source files.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/dataset.h"
#include "lora/data/tokenizer.h"

namespace lora {

struct CacheOptions {
  std::filesystem::path directory = {};  // empty: no cache
  std::string options = {};              // all options that determine how rows become samples, as text
  std::vector<std::string> beside = {};  // paths of other sources whose bytes matter too
  bool keep = true;                      // writes to the cache; false: only reads it
};

// The directory of the recipe's data.cache_dir. `auto` is lora-train/ in XDG_CACHE_HOME or ~/.cache; an empty text is
// none.
std::filesystem::path cache_directory(const std::string& cache_dir);

// Creates the directory if it is missing. Throws StorageError if it is not writable, or if other users may write to it,
// because its contents are trusted.
void open_cache(const std::filesystem::path& directory);

// The SHA-256 of a regular file. For a file over 8 MiB, the hash is stored in the directory if `keep`. It is reused
// while the file's device, inode, size, modification time and change time are the same.
SourceFile hash_source(const std::string& path, const std::filesystem::path& directory, bool keep);

// The size of the tokenizer's vocabulary, and the names and SHA-256 of its files; empty without files.
std::string tokenizer_identity(const Tokenizer& tokenizer);

// 64 hexadecimal digits. The tokenizer may be null if it does not matter. Empty if the bytes are not known in advance:
// standard input, or a tokenizer without files. Throws DataError for an unreadable source.
struct CacheKey {
  std::string text;
  std::vector<SourceFile> files;  // of the sources
};
std::optional<CacheKey> cache_key(const std::vector<DataSource>& sources, const Tokenizer* tokenizer,
                                  const CacheOptions& options);

// Removes files that no run used for thirty days and leftovers of killed runs.
void prune_cache(const std::filesystem::path& directory);

// Marks a file as used now.
void touch_cached(const std::filesystem::path& file);

}  // namespace lora
