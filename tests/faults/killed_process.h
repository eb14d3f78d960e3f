#pragma once
// Work done by a child process that is killed on the way: what it leaves on the disk is what a crash leaves.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

namespace lora::test {

// A number that parent and child both see.
class SharedNumber {
 public:
  SharedNumber();
  ~SharedNumber();
  SharedNumber(const SharedNumber&) = delete;
  SharedNumber& operator=(const SharedNumber&) = delete;
  volatile int64_t& value() { return *value_; }

 private:
  volatile int64_t* value_;
};

// Runs `prepare` here, then `work` in a child that gets SIGKILL just before its first system call, then `check` here,
// told whether `work` had returned; then all again with the second system call, and so on until a child gets to its
// end. Since nothing reaches the disk between two system calls, this is every outcome a kill can have. Returns the
// number of kills; none where the system allows no tracing, which a line on stdout says.
int kill_before_every_system_call(const std::function<void()>& prepare, const std::function<void()>& work,
                                  const std::function<void(bool)>& check);

// Runs `work` in a child and kills it after `delay`, if it still runs.
void kill_after(std::chrono::microseconds delay, const std::function<void()>& work);

}  // namespace lora::test
