#pragma once
// Curves as SVG, in the colours of the page that holds it.

#include <string>
#include <vector>

#include "lora/report/curve.h"

namespace lora {

struct ChartLine {
  std::string label;    // text
  const Curve* curve;   // borrowed; not empty
  int colour = 0;       // 0 to 7
  bool dashed = false;  // with a dot at each point: a curve of few values
};

enum class ChartUnit { kNumber, kBytes, kPercent };

// `title` is text. The axis of values is logarithmic where all are positive and differ a hundredfold. A legend follows
// where there are several lines.
std::string svg_chart(const std::string& title, const std::vector<ChartLine>& lines,
                      ChartUnit unit = ChartUnit::kNumber);

}  // namespace lora
