#pragma once
// The bytes of a data file as text: from the disk or standard input, unpacked where its first bytes say gzip or zstd.

#include <cstdint>
#include <memory>
#include <streambuf>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// What stands for a character where there is none left.
inline constexpr int kEndOfInput = std::streambuf::traits_type::eof();

// What a row may have of bytes: a line that never ends must not fill the memory.
constexpr size_t kMostRecordBytes = size_t{16} << 20;

// Of a file as it lies on the disk, packed or not.
struct SourceFile {
  std::string path;
  int64_t bytes = 0;
  std::string sha256;
  bool operator==(const SourceFile&) const = default;
};

// Files of `path` in byte order: itself, or what its *, ? and […] match. "-" is standard input. Throws DataError where
// nothing matches.
std::vector<std::string> matching_files(const std::string& path);

// Of bytes to read from: a file that is being read, or unpacked.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual size_t read(char* data, size_t size) = 0;  // 0: the end
};

// Holds a quarter of a MiB. Every call throws DataError "PATH: …": no such file, a directory, a named pipe, a packed
// file that is damaged or ends early, UTF-16. A byte order mark is left out.
class Input : public std::streambuf {
 public:
  explicit Input(const std::string& path);
  ~Input() override;

  // Of the text's first bytes, before anything is read; at most four of them.
  bool starts_with(std::string_view bytes) const;

  enum class Line { kEnd, kWhole, kTooLong };
  // Without its LF or CRLF. Of a line of more than kMostRecordBytes only the first bytes are kept.
  Line read_line(std::string& line);

  // Reads what is left and says what was read.
  SourceFile finish();

 private:
  int_type underflow() override;

  std::string path_;
  std::unique_ptr<class HashedFile> file_;
  std::unique_ptr<ByteSource> unpacked_;  // null: the file's bytes are the text
  std::vector<char> buffer_;
};

}  // namespace lora
