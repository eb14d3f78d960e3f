#include "lora/app/data/mixing_report.h"

#include "lora/terminal/text.h"

namespace lora {

TextTable mixing_rows(const std::vector<Mixture::Share>& shares, const MixingConfig& config) {
  const auto percent = [](double share) { return fixed(100 * share, 2) + " %"; };
  std::vector<std::vector<std::string>> rows = {
      {"mixed by " + name_of(config.by), "expected", "first epoch", "samples", "tokens", "passes an epoch"}};
  for (const Mixture::Share& share : shares) {
    rows.push_back({share.name, percent(share.target), percent(share.realised), with_commas(share.samples),
                    with_commas(share.tokens), fixed(share.passes, 3)});
  }
  return {std::move(rows), {false, true, true, true, true, true}};
}

std::string mixing_table(const std::vector<Mixture::Share>& shares, const MixingConfig& config) {
  return table(mixing_rows(shares, config));
}

}  // namespace lora
