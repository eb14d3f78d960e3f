#pragma once
// Numbers in bins, as text and as a picture.

#include <cstdint>
#include <string>
#include <vector>

namespace lora {

// Bin i counts values of [i, i + 1) · width; the last bin has its upper end as well.
struct Histogram {
  double width = 1;
  std::vector<int64_t> counts;
  int64_t total() const;
};

// About `bins` bins from 0 to the largest value, of a round width: 1, 2 or 5 times a power of ten.
Histogram histogram(const std::vector<int64_t>& values, int bins);
// `bins` bins of [0, 1].
Histogram share_histogram(const std::vector<double>& shares, int bins);

// A line a bin: its lower end, a bar, its count.
std::string bars(const Histogram& histogram, int columns);

// An SVG element of its own size with a bar a bin, each with its range and count as title; colours are the page's
// (classes bar, axis). `label` says what is counted, `percent` writes the axis in percent.
std::string svg_histogram(const Histogram& histogram, const std::string& label, bool percent);

}  // namespace lora
