#pragma once
// How often a classifier predicts which label for samples of which label.

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace lora {

// Counts of samples by their label and by the predicted one, out of L labels. Holds only the pairs that occur.
class Confusion {
 public:
  // A language model has 0 labels; its confusion stays empty.
  explicit Confusion(int64_t labels = 0) : samples_(static_cast<size_t>(labels)), predictions_(samples_) {}

  void add(int64_t label, int64_t predicted, int64_t count = 1);

  bool empty() const { return samples_.empty(); }
  int64_t labels() const { return static_cast<int64_t>(samples_.size()); }
  const std::map<std::pair<int64_t, int64_t>, int64_t>& counts() const { return counts_; }  // (label, predicted)
  int64_t count(int64_t label, int64_t predicted) const;
  int64_t samples(int64_t label) const { return samples_[static_cast<size_t>(label)]; }          // with that label
  int64_t predictions(int64_t label) const { return predictions_[static_cast<size_t>(label)]; }  // of that label

  // Shares of 1; 0 where there is nothing to divide by.
  double accuracy() const;
  double precision(int64_t label) const;
  double recall(int64_t label) const;
  double f1(int64_t label) const;
  // Mean of f1 over the labels that occur, as a sample's or as a prediction: scikit-learn's f1_score(average="macro").
  double macro_f1() const;

 private:
  std::vector<int64_t> samples_, predictions_;
  std::map<std::pair<int64_t, int64_t>, int64_t> counts_;
};

}  // namespace lora
