#pragma once
// Named means that an objective reports beside the loss, such as rewards.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
  std::vector<Mean> means_;
};

}  // namespace lora
