#include "models/base/path_pattern.h"

#include <glob.h>

#include <algorithm>
#include <new>

namespace lora {
namespace {

// At each '/', glob() has a copy of what is before it on the stack: 1 MiB in all.
constexpr size_t kMostBytes = 4096;
constexpr std::ptrdiff_t kMostDirectories = 256;

}  // namespace

bool is_path_pattern(const std::string& path) { return path.find_first_of("*?[") != std::string::npos; }

std::vector<std::string> matching_paths(const std::string& pattern) {
  if (pattern.size() > kMostBytes || std::ranges::count(pattern, '/') > kMostDirectories) return {};
  struct Found : glob_t {
    Found() : glob_t{} {}
    ~Found() { ::globfree(this); }
    Found(const Found&) = delete;
    Found& operator=(const Found&) = delete;
  } found;
  const int status = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  if (status == GLOB_NOSPACE) throw std::bad_alloc();
  if (status != 0) return {};
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  std::ranges::sort(paths);  // glob's own order depends on the locale
  return paths;
}

}  // namespace lora
