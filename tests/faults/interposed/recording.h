#pragma once
// What the interposed library records of a program: everything that changes the disk, in order. A recording is a
// sequence of EventHeader, path, other path and data, back to back.

#include <cstdint>
#include <string>

namespace lora::test {

struct EventHeader {
  uint32_t kind, path_size, other_size, reserved;
  uint64_t file;  // inode number
  uint64_t offset, data_size;
};

struct Event {
  enum class Kind : uint32_t {
    kCreate,           // path, file
    kWrite,            // file, offset, data
    kTruncate,         // file; offset: the new size
    kSync,             // file: a file or a directory
    kRename,           // path to other
    kExchange,         // path and other
    kUnlink,           // path
    kMakeDirectory,    // path, file
    kRemoveDirectory,  // path
  };
  Kind kind;
  uint64_t file, offset;
  std::string path, other, data;
};

}  // namespace lora::test
