#include "lora/terminal/histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lora/terminal/html.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

std::string edge(double value, bool percent) {
  if (percent) return fixed(100 * value, 0) + " %";
  return with_commas(std::llround(value));
}

}  // namespace

int64_t Histogram::total() const { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

Histogram histogram(const std::vector<int64_t>& values, int bins) {
  Histogram made;
  if (values.empty()) return made;
  const int64_t most = *std::max_element(values.begin(), values.end());
  const double ideal = std::max(1.0, static_cast<double>(most) / bins);
  const double power = std::pow(10.0, std::floor(std::log10(ideal)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    made.width = factor * power;
    if (made.width >= ideal) break;
  }
  made.counts.resize(static_cast<size_t>(static_cast<double>(most) / made.width) + 1);
  for (const int64_t value : values) ++made.counts[static_cast<size_t>(static_cast<double>(value) / made.width)];
  return made;
}

Histogram share_histogram(const std::vector<double>& shares, int bins) {
  Histogram made{1.0 / bins, std::vector<int64_t>(static_cast<size_t>(bins))};
  for (const double share : shares) {
    ++made.counts[static_cast<size_t>(std::clamp(static_cast<int>(share * bins), 0, bins - 1))];
  }
  return made;
}

std::string bars(const Histogram& histogram, int columns) {
  const int64_t most =
      histogram.counts.empty() ? 0 : *std::max_element(histogram.counts.begin(), histogram.counts.end());
  constexpr int kBeside = 26, kLeast = 6;  // columns of the numbers on both sides
  columns = std::clamp(table_width() - kBeside, kLeast, std::max(columns, kLeast));
  std::vector<std::vector<std::string>> rows;
  const auto first = std::ranges::find_if(histogram.counts, [](int64_t count) { return count > 0; });
  for (auto i = as_size(first - histogram.counts.begin()); i < histogram.counts.size(); ++i) {
    std::string bar;
    const auto eighths =
        most == 0 ? 0
                  : std::llround(8.0 * columns * static_cast<double>(histogram.counts[i]) / static_cast<double>(most));
    for (int64_t k = 0; k < eighths / 8; ++k) bar += "█";
    static constexpr const char* kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    bar += kParts[eighths % 8];
    if (bar.empty() && histogram.counts[i] > 0) bar = "▏";
    rows.push_back({with_commas(std::llround(static_cast<double>(i) * histogram.width)), bar,
                    histogram.counts[i] > 0 ? with_commas(histogram.counts[i]) : ""});
  }
  return plain_table(rows, {true, false, false});
}

std::string svg_histogram(const Histogram& histogram, const std::string& label, bool percent) {
  constexpr double kWidth = 440, kHeight = 170, kLeft = 8, kBottom = 26, kTop = 20;
  const size_t bins = histogram.counts.size();
  const int64_t most = bins == 0 ? 0 : *std::max_element(histogram.counts.begin(), histogram.counts.end());
  const double step = bins == 0 ? 0 : (kWidth - 2 * kLeft) / static_cast<double>(bins), base = kHeight - kBottom;
  std::string svg = "<svg class=\"chart\" viewBox=\"0 0 " + fixed(kWidth, 0) + " " + fixed(kHeight, 0) +
                    "\" role=\"img\" aria-label=\"" + html_escaped(label) + "\">";
  svg += "<text class=\"title\" x=\"" + fixed(kLeft, 0) + "\" y=\"12\">" + html_escaped(label) + "</text>";
  svg += "<text text-anchor=\"end\" x=\"" + fixed(kWidth - kLeft, 0) + "\" y=\"12\">highest bar " + with_commas(most) +
         "</text>";
  for (size_t i = 0; i < bins; ++i) {
    const int64_t count = histogram.counts[i];
    if (count == 0) continue;
    const double height = std::max(1.0, (base - kTop) * static_cast<double>(count) / static_cast<double>(most));
    const double low = static_cast<double>(i) * histogram.width, high = low + histogram.width;
    svg += "<rect class=\"bar\" x=\"" + fixed(kLeft + static_cast<double>(i) * step + 0.5, 1) + "\" y=\"" +
           fixed(base - height, 1) + "\" width=\"" + fixed(std::max(1.0, step - 1), 1) + "\" height=\"" +
           fixed(height, 1) + "\"><title>" + edge(low, percent) + " to " + edge(high, percent) + ": " +
           with_commas(count) + "</title></rect>";
  }
  svg += "<line class=\"axis\" x1=\"" + fixed(kLeft, 0) + "\" x2=\"" + fixed(kWidth - kLeft, 0) + "\" y1=\"" +
         fixed(base, 1) + "\" y2=\"" + fixed(base, 1) + "\"/>";
  // At the edges of bins, where the numbers are round.
  constexpr size_t kTicks = 5;
  const size_t every = ceil_div(bins, kTicks);
  for (size_t bin = 0; bins > 0 && bin <= bins; bin += every) {
    const double place = kLeft + static_cast<double>(bin) * step;
    const double value = histogram.width * static_cast<double>(bin);
    const char* anchor = bin == 0 ? "start" : bin == bins ? "end" : "middle";
    svg += "<text class=\"tick\" text-anchor=\"" + std::string(anchor) + "\" x=\"" + fixed(place, 1) + "\" y=\"" +
           fixed(kHeight - 9, 0) + "\">" + edge(value, percent) + "</text>";
  }
  return svg + "</svg>";
}

}  // namespace lora
