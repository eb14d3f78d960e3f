#include "lora/report/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "lora/terminal/html.h"
#include "lora/terminal/page.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

// In the units of the drawing, one of which is about a pixel on a phone.
constexpr double kWidth = 360, kHeight = 210, kLeft = 50, kRight = 352, kTop = 26, kBottom = 188;

std::string tick_text(double value, ChartUnit unit) {
  if (unit == ChartUnit::kBytes) return as_bytes(std::llround(value));
  if (unit == ChartUnit::kPercent) return fixed(100 * value, 0) + " %";
  if (std::abs(value) >= 1'000) return with_commas(std::llround(value));
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.3g", value);
  return buffer;
}

// The next of 1, 2, 5, 10, 20, ... times a power of ten.
double round_step(double step) {
  const double power = std::pow(10, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= step * 0.999) return factor * power;
  }
  return 10 * power;
}

class Axis {
 public:
  // From `low` to `high`, drawn from `begin` to `end`.
  Axis(double low, double high, double begin, double end, bool logarithmic)
      : begin_(begin), end_(end), logarithmic_(logarithmic) {
    if (logarithmic_) {
      low_ = std::log10(low), high_ = std::log10(high);
      return;
    }
    const double spread = high > low ? high - low : std::max(std::abs(high), 1.0);
    step_ = round_step(spread / 4);
    low_ = std::floor(low / step_) * step_;
    high_ = std::ceil(high / step_) * step_;
    if (high_ <= low_) high_ = low_ + step_;
  }
  // One that begins and ends with its values.
  static Axis tight(double low, double high, double begin, double end) {
    Axis axis(low, high, begin, end, false);
    axis.low_ = low;
    axis.high_ = high > low ? high : low + 1;
    return axis;
  }
  double at(double value) const {
    const double place = logarithmic_ ? std::log10(value) : value;
    return begin_ + (end_ - begin_) * (place - low_) / (high_ - low_);
  }
  std::vector<double> ticks() const {
    std::vector<double> values;
    if (logarithmic_) {
      const int every = std::max(1, static_cast<int>(std::ceil((high_ - low_) / 5)));
      for (int power = static_cast<int>(std::ceil(low_)); power <= static_cast<int>(std::floor(high_));
           power += every) {
        values.push_back(std::pow(10, power));
      }
      return values;
    }
    for (double value = std::ceil(low_ / step_ - 1e-9) * step_; value <= high_ + 1e-9 * step_; value += step_) {
      values.push_back(std::abs(value) < 1e-9 * step_ ? 0.0 : value);
    }
    return values;
  }

 private:
  double low_ = 0, high_ = 1, begin_, end_, step_ = 1;
  bool logarithmic_;
};

std::string point(double x, double y) { return fixed(x, 1) + "," + fixed(y, 1) + " "; }

std::string shape(const char* name, const std::string& css, const std::string& points) {
  return "<" + std::string(name) + " class=\"" + css + "\" points=\"" + points + "\"/>";
}

std::string text_at(double x, double y, const char* anchor, const std::string& text, const char* css = "") {
  return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" + anchor + "\" class=\"" + css +
         "\">" + html_escaped(text) + "</text>";
}

std::string drawn(const ChartLine& line, const Axis& x, const Axis& y) {
  const std::vector<Curve::Point>& points = line.curve->points();
  const std::string colour = " k" + std::to_string(line.colour);
  std::string raw, smooth, above, below, dots, text;
  const std::vector<double> means = line.curve->smoothed();
  for (size_t i = 0; i < points.size(); ++i) {
    const double at = x.at(points[i].step);
    raw += point(at, y.at(points[i].mean()));
    smooth += point(at, y.at(means[i]));
    above += point(at, y.at(points[i].high));
    below = point(at, y.at(points[i].low)) + below;
    if (line.dashed && points.size() <= 60) {
      dots += "<circle class=\"" + colour.substr(1) + "\" cx=\"" + fixed(at, 1) + "\" cy=\"" +
              fixed(y.at(points[i].mean()), 1) + "\" r=\"2.2\"><title>" + html_escaped(line.label) + ", step " +
              with_commas(std::llround(points[i].step)) + ": " + tick_text(points[i].mean(), ChartUnit::kNumber) +
              "</title></circle>";
    }
  }
  if (points.size() == 1 && dots.empty()) {
    return "<circle class=\"" + colour.substr(1) + "\" cx=\"" + fixed(x.at(points[0].step), 1) + "\" cy=\"" +
           fixed(y.at(points[0].mean()), 1) + "\" r=\"2.2\"/>";
  }
  const bool merged = std::ranges::any_of(points, [](const Curve::Point& one) { return one.count > 1; });
  if (merged) text += shape("polygon", "band" + colour, above + below);
  if (line.dashed) return text + shape("polyline", "line dash" + colour, raw) + dots;
  if (points.size() >= 100) text += shape("polyline", "raw" + colour, raw);
  return text + shape("polyline", "line" + colour, points.size() >= 100 ? smooth : raw);
}

std::string legend(const std::vector<ChartLine>& lines) {
  std::string text;
  for (const ChartLine& line : lines) {
    text +=
        html_element("span", "<svg viewBox=\"0 0 24 8\" aria-hidden=\"true\" class=\"chart\"><polyline class=\"line" +
                                 std::string(line.dashed ? " dash" : "") + " k" + std::to_string(line.colour) +
                                 "\" points=\"0,4 24,4\"/></svg>" + html_escaped(line.label));
  }
  return html_element("div", text, "legend");
}

}  // namespace

std::string svg_chart(const std::string& title, const std::vector<ChartLine>& lines, ChartUnit unit) {
  double first = std::numeric_limits<double>::infinity(), last = -first, low = first, high = -first;
  for (const ChartLine& line : lines) {
    first = std::min(first, line.curve->points().front().step);
    last = std::max(last, line.curve->points().back().step);
    low = std::min(low, line.curve->low());
    high = std::max(high, line.curve->high());
  }
  const bool logarithmic = unit == ChartUnit::kNumber && low > 0 && high > 100 * low;
  const Axis x = Axis::tight(first, last, kLeft, kRight), y(low, high, kBottom, kTop, logarithmic);
  std::string text = "<svg class=\"chart\" viewBox=\"0 0 " + fixed(kWidth, 0) + " " + fixed(kHeight, 0) +
                     "\" role=\"img\" aria-label=\"" + html_escaped(title) + "\">" +
                     text_at(0, 12, "start", title + (logarithmic ? " (logarithmic)" : ""), "title");
  for (const double value : y.ticks()) {
    const std::string at = fixed(y.at(value), 1);
    text += "<line class=\"grid\" x1=\"" + fixed(kLeft, 0) + "\" x2=\"" + fixed(kRight, 0) + "\" y1=\"" + at +
            "\" y2=\"" + at + "\"/>" + text_at(kLeft - 5, y.at(value) + 4, "end", tick_text(value, unit));
  }
  for (const double value : x.ticks()) {
    // Half a step is no step.
    if (value != std::floor(value)) continue;
    const char* anchor = x.at(value) > kRight - 20 ? "end" : "middle";
    text += text_at(x.at(value), kHeight - 6, anchor, with_commas(std::llround(value)));
  }
  for (const ChartLine& line : lines) text += drawn(line, x, y);
  return text + "</svg>" + (lines.size() > 1 ? legend(lines) : "");
}

}  // namespace lora
