#pragma once
// Reads a data file as text, from disk or standard input. Unpacks gzip and zstd, which it recognises by the first
// bytes.

#include <cstdint>
#include <memory>
#include <streambuf>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// The value returned instead of a character at the end.
inline constexpr int kEndOfInput = std::streambuf::traits_type::eof();

// The maximum size of a row: an endless line must not fill the memory.
constexpr size_t kMostRecordBytes = size_t{16} << 20;

// A file on disk, packed or not.
struct SourceFile {
  std::string path;
  int64_t bytes = 0;
  std::string sha256;
  bool operator==(const SourceFile&) const = default;
};

// The files that match `path`, in byte order: `path` itself, or the matches of its *, ? and […]. "-" is standard input.
// Throws DataError if nothing matches.
std::vector<std::string> matching_files(const std::string& path);

// A source of bytes: a file, or an unpacking reader.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual size_t read(char* data, size_t size) = 0;  // 0: the end
};

// Buffers 256 KiB. Every function throws DataError "PATH: …" for a missing file, a directory, a named pipe, UTF-16, and
// a packed file that is damaged or truncated. Skips a byte order mark.
class Input : public std::streambuf {
 public:
  explicit Input(const std::string& path);
  ~Input() override;

  // Compares the first bytes of the text, at most four. Call it before reading.
  bool starts_with(std::string_view bytes) const;
  // The next 256 KiB of the text, or all of it if it is shorter. Call it before a whole buffer is read.
  std::string_view beginning();

  enum class Line { kEnd, kWhole, kTooLong };
  // The line without its LF or CRLF. Only the first bytes are kept of a line of more than kMostRecordBytes.
  Line read_line(std::string& line);

  // Reads the rest and returns the description of the file.
  SourceFile finish();

  // Of the file, packed or not: up to a buffer more than was asked for.
  int64_t bytes_read() const;

 private:
  int_type underflow() override;
  size_t fill(size_t count, size_t least);

  std::string path_;
  std::unique_ptr<class HashedFile> file_;
  std::unique_ptr<ByteSource> unpacked_;  // null: the file is not packed
  std::unique_ptr<char[]> buffer_;
};

}  // namespace lora
