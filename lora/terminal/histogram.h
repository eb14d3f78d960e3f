#pragma once
// Histograms, as text and as SVG.

#include <cstdint>
#include <string>
#include <vector>

namespace lora {

// Bin i counts the values in [i, i + 1) · width. The last bin includes its upper end.
struct Histogram {
  double width = 1;
  std::vector<int64_t> counts;
  int64_t total() const;
};

// About `bins` bins from 0 to the largest value. The width is 1, 2 or 5 times a power of ten.
Histogram histogram(const std::vector<int64_t>& values, int bins);
// `bins` bins over [0, 1].
Histogram share_histogram(const std::vector<double>& shares, int bins);

// A line a bin, from the first that is not empty: lower end, bar of `columns` at most (of the terminal, too), count.
std::string bars(const Histogram& histogram, int columns);

// An SVG element with one bar per bin; the range and count are its title. The page sets the colours (classes bar,
// axis). `label` names what is counted. `percent` labels the axis in percent.
std::string svg_histogram(const Histogram& histogram, const std::string& label, bool percent);

}  // namespace lora
