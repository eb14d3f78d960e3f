#include "lora/data/cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lora/data/source_hash.h"
#include "lora/data/template_files.h"
#include "lora/data/token_file.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr off_t kLargeFile = off_t{8} << 20;
constexpr int64_t kSecond = 1'000'000'000;
constexpr std::chrono::hours kKept{30 * 24};

int64_t nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return nanoseconds(time);
}

// Everything that the system knows about a file's content. A program can set the modification time, but not the change
// time.
json identity(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

// The stored hash. It is valid only if it was stored so long after the file's last change that a later change must have
// another timestamp.
std::optional<std::string> noted_hash(const fs::path& note, const std::string& path, const struct stat& status) {
  std::ifstream in(note, std::ios::binary);
  const json noted = parse_json_or_discard<json>(in);
  try {
    if (noted.at("path") != path || noted.at("file") != identity(status)) return {};
    if (integer_of(noted.at("noted")) < nanoseconds(status.st_ctim) + 2 * kSecond) return {};
    return noted.at("sha256").get<std::string>();
  } catch (const json::exception&) {
    return {};
  }
}

}  // namespace

fs::path cache_directory(const std::string& cache_dir) {
  if (cache_dir != "auto") return cache_dir;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    return fs::path(cache) / "lora-train";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".cache" / "lora-train";
  }
  return {};
}

void open_cache(const fs::path& directory) {
  std::error_code error;
  if (directory.has_parent_path()) fs::create_directories(directory.parent_path(), error);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) throw_storage_error(directory, "make", errno);
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) throw_storage_error(directory, "open", errno);
  if (!S_ISDIR(status.st_mode)) throw StorageError(directory.string() + ": is not a directory");
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw StorageError(directory.string() +
                       ": other users may write to it, or own it; expected a directory of this user's "
                       "own (chmod go-w), since what is found there is trained on");
  }
}

SourceFile hash_source(const std::string& path, const fs::path& directory, bool keep) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    const Input says_why(path);
    throw DataError(path + ": is not a regular file");
  }
  SourceFile file{path, status.st_size, ""};
  if (status.st_size < kLargeFile) {
    file.sha256 = sha256_of_file(path);
    return file;
  }
  const std::string absolute = fs::absolute(path).lexically_normal().string();
  const fs::path note = directory / "hashes" / (sha256_of(absolute) + ".json");
  if (const auto noted = noted_hash(note, absolute, status)) {
    file.sha256 = *noted;
    return file;
  }
  file.sha256 = sha256_of_file(path);
  if (!keep) return file;
  const json text = {{"path", absolute}, {"file", identity(status)}, {"noted", now()}, {"sha256", file.sha256}};
  fs::create_directories(note.parent_path());
  write_file_atomically(note, text.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  return file;
}

std::string tokenizer_identity(const Tokenizer& tokenizer) {
  const std::vector<fs::path> files = tokenizer.files();
  if (files.empty()) return "";
  std::string text = std::to_string(tokenizer.vocab_size()) + " ids" + (tokenizer.adds_bos() ? " with BOS" : "");
  for (const fs::path& file : files) text += ", " + file.filename().string() + " " + sha256_of_file(file);
  return text;
}

std::optional<CacheKey> cache_key(const std::vector<DataSource>& sources, const Tokenizer* tokenizer,
                                  const CacheOptions& options) {
  CacheKey key;
  // Each part is preceded by its length, so that different lists give different texts.
  std::string text = "token file " + std::to_string(kTokenFileVersion) + " by " + kSourceHash + "\n";
  const auto add = [&](const std::string& what) { text += std::to_string(what.size()) + ":" + what + "\n"; };
  const auto add_files = [&](const std::string& path) {
    for (const std::string& one : matching_files(path)) {
      if (one == "-") return false;
      key.files.push_back(hash_source(one, options.directory, options.keep));
      add(one);
      add(key.files.back().sha256);
    }
    return true;
  };
  add(options.options);
  if (tokenizer) {
    add(tokenizer_identity(*tokenizer));
    const std::vector<fs::path> files = tokenizer->files();
    if (files.empty()) return {};
    for (const fs::path& path : template_paths(files.front().parent_path())) {
      if (std::ranges::find(files, path) != files.end()) continue;
      add(path.filename().string());
      add(sha256_of_file(path));
    }
  }
  for (const std::string& path : options.beside) {
    if (!add_files(path)) return {};
  }
  key.files.clear();
  for (const DataSource& source : sources) {
    add("source");
    if (const RowPart& part = source.part; part.use != RowPart::Use::kAll) {
      add(std::string(part.use == RowPart::Use::kTraining ? "training" : "validation") + " rows by seed " +
          std::to_string(part.seed));  // the share is in the options
    }
    if (!add_files(source.path)) return {};
  }
  key.text = sha256_of(text);
  return key;
}

void prune_cache(const fs::path& directory) {
  std::error_code error;
  const auto today = fs::file_time_type::clock::now();
  for (const fs::path& folder : {directory, directory / "hashes"}) {
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      const bool left_behind = name.starts_with('.') && name.find(".tmp-") != std::string::npos;
      const bool ours = left_behind || name.ends_with(".tokens") || name.ends_with(".labels") ||
                        name.ends_with(".reference") || (folder != directory && name.ends_with(".json"));
      const auto age = today - entry.last_write_time(error);
      if (!error && ours && age > (left_behind ? std::chrono::hours{24} : kKept)) fs::remove(entry.path(), error);
    }
  }
}

void touch_cached(const fs::path& file) { ::utimensat(AT_FDCWD, file.c_str(), nullptr, 0); }

}  // namespace lora
