#pragma once
// Named means that an objective reports beside the loss, such as rewards.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/engine/readings.h"

namespace lora {

class Measures {
 public:
  struct Mean {
    std::string name;
    double sum = 0;
    int64_t count = 0;
    bool is_set = false;  // by set()
    double value() const { return sum / static_cast<double>(count); }
  };

  // Adds to the mean of that name. Nothing for a count of 0.
  void add(std::string_view name, double sum, int64_t count);
  // The same for a sum () that a device is still to compute. Until settle() it is in no mean.
  void add(std::string_view name, const at::Tensor& sum, int64_t count);
  // Hands those sums over to be read; no sum may be added until settle(), which follows when they are read.
  void read_with(Readings& readings);
  void settle();
  // The mean is exactly this, however many passes report it.
  void set(std::string_view name, double value);
  // Adds what another object's add() or set() made.
  void merge(const Mean& mean);

  // In the order of their first call.
  const std::vector<Mean>& means() const { return means_; }
  // Null where nothing was added under that name.
  const Mean* find(std::string_view name) const;

 private:
  Mean& of(std::string_view name);
  struct Unread {
    size_t mean;  // index
    at::Tensor sum;
    double value = 0;
  };
  std::vector<Mean> means_;
  std::vector<Unread> unread_;
};

}  // namespace lora
