#include "lora/data/input.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "lora/data/unpack.h"
#include "models/base/error.h"
#include "models/base/file_descriptor.h"
#include "models/base/file_kind.h"
#include "models/base/path_pattern.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

constexpr size_t kBuffer = size_t{256} << 10;
constexpr size_t kFirstBytes = 4;

FileDescriptor open_source(const std::string& path) {
  const auto fail = [&](const std::string& message) { throw DataError(path + ": " + message); };
  if (path == "-") {
    if (::isatty(STDIN_FILENO)) fail("standard input is a terminal; expected data from a file or another program");
    return FileDescriptor(::dup(STDIN_FILENO));
  }
  // O_NONBLOCK: opening a named pipe must not wait for its writer.
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    const int error = errno;
    fail(error == ENOENT ? "no such file; looked for " + std::filesystem::absolute(path).lexically_normal().string()
                         : "cannot be opened for reading: " + std::generic_category().message(error));
  }
  if (S_ISDIR(status.st_mode)) fail("is a directory; expected a file, or a pattern such as " + path + "/*.jsonl");
  if (S_ISFIFO(status.st_mode)) {
    fail("is a named pipe, which can be read only once; expected a file, or '-' for standard input");
  }
  if (!S_ISREG(status.st_mode)) fail("is not a regular file");
  return file;
}

}  // namespace

// A file that hashes the bytes it returns.
class HashedFile : public ByteSource {
 public:
  explicit HashedFile(const std::string& path) : path_(path), file_(open_source(path)) {}

  // The first bytes of the file. read() returns them again.
  std::string_view peek() {
    while (held_.size() < kFirstBytes) {
      char byte;
      if (read_file(&byte, 1) == 0) break;
      held_ += byte;
    }
    return held_;
  }

  size_t read(char* data, size_t size) override {
    if (held_.empty()) return read_file(data, size);
    const size_t count = std::min(size, held_.size());
    std::memcpy(data, held_.data(), count);
    held_.erase(0, count);
    return count;
  }

  int64_t bytes_read() const { return bytes_; }

  SourceFile finish() {
    char rest[1 << 14];
    while (read_file(rest, sizeof rest) > 0) continue;
    return {path_, bytes_, hash_.digest()};
  }

 private:
  size_t read_file(char* data, size_t size) {
    while (true) {
      const ssize_t count = ::read(file_.get(), data, size);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw DataError(path_ + ": reading failed: " + std::generic_category().message(errno));
      hash_.update(data, static_cast<size_t>(count));
      bytes_ += count;
      return static_cast<size_t>(count);
    }
  }

  const std::string path_;
  FileDescriptor file_;
  Sha256 hash_;
  int64_t bytes_ = 0;
  std::string held_;
};

std::vector<std::string> matching_files(const std::string& path) {
  std::error_code error;
  if (path == "-" || !is_path_pattern(path) || std::filesystem::exists(path, error)) return {path};
  std::vector<std::string> files = matching_paths(path);
  if (files.empty()) throw DataError(path + ": no file matches this pattern");
  return files;
}

Input::Input(const std::string& path)
    : path_(path), file_(std::make_unique<HashedFile>(path)), buffer_(std::make_unique_for_overwrite<char[]>(kBuffer)) {
  unpacked_ = unpacking(file_->peek(), *file_, path);
  underflow();
  if (starts_with("\xef\xbb\xbf")) gbump(3);
  if (starts_with("\xff\xfe") || starts_with("\xfe\xff")) {
    throw DataError(path + ": is UTF-16 text; expected UTF-8: save the file as that");
  }
  if (path == "-" || starts_with("PAR1")) return;  // a pipe may give its first rows long before the next
  if (const std::string kind = file_kind(beginning()); !kind.empty()) {
    throw DataError(path + ": is " + kind + "; expected JSON, JSONL, CSV, TSV or Parquet");
  }
}

Input::~Input() = default;

bool Input::starts_with(std::string_view bytes) const {
  return std::string_view(gptr(), static_cast<size_t>(egptr() - gptr())).starts_with(bytes);
}

std::string_view Input::beginning() {
  const auto done = static_cast<size_t>(gptr() - eback());
  const size_t count = fill(static_cast<size_t>(egptr() - eback()), kBuffer);
  setg(buffer_.get(), buffer_.get() + done, buffer_.get() + count);
  return {gptr(), count - done};
}

// Reads until the buffer has `least` bytes or the file ends. It has `count`. Returns how many it has then.
size_t Input::fill(size_t count, size_t least) {
  for (bool end = false; count < least && !end;) {
    char* to = buffer_.get() + count;
    const size_t more = unpacked_ ? unpacked_->read(to, kBuffer - count) : file_->read(to, kBuffer - count);
    end = more == 0;
    count += more;
  }
  return count;
}

Input::int_type Input::underflow() {
  // At least as many bytes as a byte order mark has, if the file has them.
  const size_t count = fill(0, kFirstBytes);
  setg(buffer_.get(), buffer_.get(), buffer_.get() + count);
  return count == 0 ? traits_type::eof() : traits_type::to_int_type(*gptr());
}

Input::Line Input::read_line(std::string& line) {
  line.clear();
  bool too_long = false;
  for (bool any = false;; any = true) {
    if (gptr() == egptr() && underflow() == traits_type::eof()) {
      if (!any) return Line::kEnd;
      break;
    }
    const auto left = static_cast<size_t>(egptr() - gptr());
    const auto* end = static_cast<const char*>(std::memchr(gptr(), '\n', left));
    const size_t count = end ? static_cast<size_t>(end - gptr()) : left;
    too_long |= line.size() + count > kMostRecordBytes;
    if (!too_long) line.append(gptr(), count);
    setg(eback(), gptr() + count + (end ? 1 : 0), egptr());
    if (end) break;
  }
  if (line.ends_with('\r')) line.pop_back();
  return too_long ? Line::kTooLong : Line::kWhole;
}

int64_t Input::bytes_read() const { return file_->bytes_read(); }

SourceFile Input::finish() {
  while (underflow() != traits_type::eof()) continue;
  return file_->finish();
}

}  // namespace lora
