#pragma once
// A classifier's evaluation as a person reads it.

#include <string>

#include "lora/training/confusion.h"
#include "models/network/labels.h"

namespace lora {

// "accuracy 93.1 %  macro-F1 0.9302"
std::string accuracy_line(const Confusion& confusion);

// Up to 12 labels: every count, and precision, recall and F1 of each label. More: the labels of the lowest F1 and the
// most frequent confusions.
std::string confusion_report(const Confusion& confusion, const LabelNames& names);

}  // namespace lora
