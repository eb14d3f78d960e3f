#pragma once
// Replicas on threads of one process: what each gathers and exchanges is handed over in memory.

#include <ATen/ATen.h>

#include <barrier>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lora/training/replicas.h"

namespace lora::test {

// Where `count` replicas meet.
struct Meeting {
  explicit Meeting(int64_t count) : all(count), bytes(static_cast<size_t>(count)), tensors(bytes.size()) {}
  std::barrier<> all;
  std::vector<std::string> bytes;
  std::vector<std::vector<at::Tensor>> tensors;  // by sender, by receiver
};

class OneOfMany final : public Replicas {
 public:
  OneOfMany(Meeting& meeting, int64_t rank) : meeting_(meeting), rank_(rank) {}
  int64_t rank() const override { return rank_; }
  int64_t count() const override { return static_cast<int64_t>(meeting_.bytes.size()); }
  std::vector<std::string> gather(const std::string& own) override {
    meeting_.bytes[static_cast<size_t>(rank_)] = own;
    meeting_.all.arrive_and_wait();
    std::vector<std::string> all = meeting_.bytes;
    meeting_.all.arrive_and_wait();
    return all;
  }
  std::vector<at::Tensor> exchange(const std::vector<at::Tensor>& to, const std::vector<int64_t>& sizes) override {
    meeting_.tensors[static_cast<size_t>(rank_)] = to;
    meeting_.all.arrive_and_wait();
    std::vector<at::Tensor> from;
    bool fits = true;
    for (size_t rank = 0; rank < sizes.size(); ++rank) {
      from.push_back(meeting_.tensors[rank][static_cast<size_t>(rank_)].clone());
      fits &= from.back().numel() == sizes[rank];
    }
    meeting_.all.arrive_and_wait();
    if (!fits) std::abort();  // the others wait for this thread: a test that fails here would hang
    return from;
  }

 private:
  Meeting& meeting_;
  int64_t rank_;
};

// Runs `body` once for each of `count` replicas, all at once.
inline void run_together(int64_t count, const std::function<void(const std::shared_ptr<Replicas>&)>& body) {
  Meeting meeting(count);
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] { body(std::make_shared<OneOfMany>(meeting, rank)); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace lora::test
