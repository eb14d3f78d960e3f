#pragma once
// A call of the program on a file that counts: traced, recorded, and made to fail or to kill where parts.h says so.

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/faults/interposed/recording.h"

namespace interposed {

// Absolute. `counts`: it is under LORA_FAULT_DIRECTORY.
struct Path {
  char text[PATH_MAX] = "";
  bool counts = false;
};
Path path_of(int descriptor);
Path path_at(int directory, const char* name);

// One counted call. It tells whether the call is to be made, and ends the program where that is asked for.
class Call {
 public:
  // `change`: the call changes the disk.
  Call(const char* kind, const Path& path, bool change);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool counts() const { return counts_; }
  bool fails() const;  // errno is set then
  bool is_short() const;

 private:
  bool counts_, here_ = false, fails_ = false;
};

using Kind = lora::test::Event::Kind;

bool records();  // LORA_FAULT_RECORD
bool syncs();    // not LORA_FAULT_NO_SYNC
void record(Kind kind, uint64_t file, uint64_t offset, const char* path, const char* other, const void* data,
            size_t size);

// What names a file in a recording; 0: there is none.
uint64_t file_of(int descriptor);
uint64_t file_at(const char* path);

}  // namespace interposed
