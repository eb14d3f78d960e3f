#include "lora/app/training/quantization_report.h"

#include <algorithm>
#include <cmath>

#include "lora/terminal/table.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

struct Totals {
  std::string kind;
  int64_t modules = 0, parameters = 0, bytes = 0;
  double errors = 0, largest = 0;
  std::string worst = {};

  void add(const QuantizedModule& module) {
    const QuantizedWeight& weight = module.layer->quantized_weight();
    ++modules;
    parameters += weight.out_features() * weight.in_features();
    bytes += weight.bytes();
    errors += weight.relative_error();
    if (weight.relative_error() < largest) return;
    largest = weight.relative_error();
    worst = module.path;
  }
  double mean() const { return errors / static_cast<double>(modules); }
  std::string bits() const { return fixed(8.0 * static_cast<double>(bytes) / static_cast<double>(parameters), 3); }
};

}  // namespace

std::string quantization_line(const std::vector<QuantizedModule>& modules) {
  Totals all;
  for (const QuantizedModule& module : modules) all.add(module);
  std::string line = modules.front().layer->quantized_weight().encoding() + ", " + with_commas(all.modules) +
                     " projections of " + with_commas(all.parameters) + " parameters in " + as_bytes(all.bytes) + ", " +
                     all.bits() + " bits each";
  if (!std::isnan(all.errors)) {
    line += "; relative error " + fixed(all.mean(), 4) + ", at most " + fixed(all.largest, 4) + " (" + all.worst + ")";
  }
  return line;
}

std::string quantization_table(const std::vector<QuantizedModule>& modules) {
  std::vector<Totals> kinds;
  for (const QuantizedModule& module : modules) {
    const std::string kind = kind_of(module.path);
    auto same = std::ranges::find(kinds, kind, &Totals::kind);
    if (same == kinds.end()) same = kinds.insert(kinds.end(), {.kind = kind});
    same->add(module);
  }
  std::vector<std::vector<std::string>> rows = {{"quantized", "modules", "parameters", "bits", "error", "at most"}};
  for (const Totals& kind : kinds) {
    rows.push_back({kind.kind, std::to_string(kind.modules), with_commas(kind.parameters), kind.bits(),
                    fixed(kind.mean(), 4), fixed(kind.largest, 4)});
  }
  return table(rows, {false, true, true, true, true, true});
}

}  // namespace lora
