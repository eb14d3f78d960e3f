#include "lora/training/confusion.h"

#include <numeric>

#include "models/base/numbers.h"

namespace lora {

void Confusion::add(int64_t label, int64_t predicted, int64_t count) {
  samples_.at(static_cast<size_t>(label)) += count;
  predictions_.at(static_cast<size_t>(predicted)) += count;
  counts_[{label, predicted}] += count;
}

int64_t Confusion::count(int64_t label, int64_t predicted) const {
  const auto found = counts_.find({label, predicted});
  return found == counts_.end() ? 0 : found->second;
}

double Confusion::accuracy() const {
  int64_t right = 0;
  for (int64_t label = 0; label < labels(); ++label) right += count(label, label);
  return ratio(right, std::accumulate(samples_.begin(), samples_.end(), int64_t{0}));
}

double Confusion::precision(int64_t label) const { return ratio(count(label, label), predictions(label)); }

double Confusion::recall(int64_t label) const { return ratio(count(label, label), samples(label)); }

double Confusion::f1(int64_t label) const {
  return ratio(2 * count(label, label), samples(label) + predictions(label));
}

double Confusion::macro_f1() const {
  double sum = 0;
  int64_t occurring = 0;
  for (int64_t label = 0; label < labels(); ++label) {
    occurring += samples(label) + predictions(label) > 0;
    sum += f1(label);
  }
  return occurring == 0 ? 0.0 : sum / static_cast<double>(occurring);
}

}  // namespace lora
