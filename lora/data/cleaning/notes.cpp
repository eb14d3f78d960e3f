#include "lora/data/cleaning/notes.h"
#include "models/base/json.h"

#include <nlohmann/json.hpp>

namespace lora {
namespace {

using nlohmann::json;

json to_json(const std::vector<SourceFindings>& sources) {
  json all = json::array();
  for (const SourceFindings& source : sources) {
    all.push_back({source.rows, source.dropped, source.hits, source.dropped_by, source.pii});
  }
  return all;
}

std::vector<SourceFindings> sources_from(const json& all) {
  std::vector<SourceFindings> sources;
  for (const json& one : all) {
    SourceFindings& source = sources.emplace_back();
    one.at(0).get_to(source.rows);
    one.at(1).get_to(source.dropped);
    one.at(2).get_to(source.hits);
    one.at(3).get_to(source.dropped_by);
    one.at(4).get_to(source.pii);
  }
  return sources;
}

}  // namespace

std::string to_notes(const CleaningReport& report) {
  json findings = json::array();
  for (const Finding& f : report.findings) {
    findings.push_back(
        {info(f.rule).key, f.validation, f.row, f.where, f.other, f.other_where, f.similarity, f.detail});
  }
  const json all = {
      {"train", to_json(report.train)}, {"validation", to_json(report.validation)}, {"findings", findings}};
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<CleaningReport> from_notes(const std::string& notes) {
  const json all = parse_json_or_discard<json>(notes);
  try {
    CleaningReport report{sources_from(all.at("train")), sources_from(all.at("validation")), {}};
    for (const json& one : all.at("findings")) {
      Finding& finding = report.findings.emplace_back();
      for (size_t rule = 0; rule < kRules; ++rule) {
        if (one.at(0) == info(static_cast<Rule>(rule)).key) finding.rule = static_cast<Rule>(rule);
      }
      one.at(1).get_to(finding.validation);
      one.at(2).get_to(finding.row);
      one.at(3).get_to(finding.where);
      one.at(4).get_to(finding.other);
      one.at(5).get_to(finding.other_where);
      one.at(6).get_to(finding.similarity);
      one.at(7).get_to(finding.detail);
    }
    return report;
  } catch (const json::exception&) {
    return {};
  }
}

}  // namespace lora
