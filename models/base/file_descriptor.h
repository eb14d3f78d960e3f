#pragma once
// Owner of a POSIX file descriptor.

#include <unistd.h>

#include <utility>

namespace lora {

class FileDescriptor {
 public:
  // Takes what open() returned; a negative one is kept as it is and never closed.
  explicit FileDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  ~FileDescriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  int get() const { return descriptor_; }
  // Gives the descriptor up, for a caller that wants to see what close() says.
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

}  // namespace lora
