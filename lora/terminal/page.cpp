#include "lora/terminal/page.h"

#include "lora/terminal/html.h"

namespace lora {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --back: #fbfbf9; --fore: #1d2126; --dim: #6a7178; --line: #dcdfe2; --card: #ffffff;
  --bar: #3b78b5; --want: #b9c7d6; --warn: #a66300; --drop: #b3322b; --good: #2f7d4f;
  --c0: #2c6fb0; --c1: #c4551a; --c2: #2f7d4f; --c3: #8a4fa8; --c4: #96700b; --c5: #b03060; --c6: #1f7f8c; --c7: #5b6470; }
@media (prefers-color-scheme: dark) { :root { --back: #15181b; --fore: #e4e7ea; --dim: #98a1a9; --line: #343a40;
  --card: #1d2125; --bar: #6ea8dc; --want: #47566a; --warn: #e0a34a; --drop: #e8756d; --good: #6cc08f;
  --c0: #6ea8dc; --c1: #f0925c; --c2: #6cc08f; --c3: #c493e0; --c4: #d9b44a; --c5: #ee85a8; --c6: #5cc3d1; --c7: #a9b2bd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--back); color: var(--fore);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
p.lead, .dim { color: var(--dim); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .75rem; margin-top: 1.25rem; }
.card, .box { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: 500; }
th:first-child, td:first-child, .text, .rules th:last-child, .rules td:last-child { text-align: left; }
td:first-child { white-space: normal; min-width: 10rem; overflow-wrap: anywhere; }
.rules td:last-child { white-space: normal; min-width: 12rem; }
tbody tr:last-child td { border-bottom: 0; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
.tag { border-radius: 1rem; padding: .05rem .55rem; font-size: .8rem; border: 1px solid currentColor; }
.drop { color: var(--drop); } .warn { color: var(--warn); } .off { color: var(--dim); } .good { color: var(--good); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: .75rem; }
.chart { width: 100%; height: auto; display: block; }
.chart .bar { fill: var(--bar); } .chart .axis { stroke: var(--line); }
.chart text { fill: var(--dim); font: 12px system-ui, sans-serif; } .chart .title { fill: var(--fore); font-size: 13px; }
.share { display: grid; grid-template-columns: minmax(8rem, 1fr) 3fr 8rem; gap: .2rem .75rem; align-items: center; }
.share .name { overflow-wrap: anywhere; }
.track { height: .6rem; border-radius: .2rem; background: var(--bar); min-width: 2px; margin: .15rem 0; }
.track.want { background: var(--want); }
@media (max-width: 40rem) { .share { grid-template-columns: 1fr; } .share > div:last-child { margin-bottom: .75rem; } }
summary { cursor: pointer; padding: .15rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: .75rem; margin: .5rem 0 1rem; }
.pair pre { margin: .35rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 14rem; overflow-y: auto; }
.pair .answer { border-top: 1px dashed var(--line); padding-top: .35rem; }
.chart .grid { stroke: var(--line); stroke-width: 1; } .chart .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.chart .raw { fill: none; stroke-width: 1; opacity: .35; } .chart .band { stroke: none; opacity: .16; }
.chart .dash { stroke-dasharray: 5 3; }
.k0 { stroke: var(--c0); fill: var(--c0); } .k1 { stroke: var(--c1); fill: var(--c1); } .k2 { stroke: var(--c2); fill: var(--c2); }
.k3 { stroke: var(--c3); fill: var(--c3); } .k4 { stroke: var(--c4); fill: var(--c4); } .k5 { stroke: var(--c5); fill: var(--c5); }
.k6 { stroke: var(--c6); fill: var(--c6); } .k7 { stroke: var(--c7); fill: var(--c7); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .8rem; color: var(--dim); overflow-wrap: anywhere; }
.legend span { display: inline-flex; align-items: center; } .legend svg { width: 1.6em; height: .7em; margin-right: .3em; flex: none; }
.keys td:nth-child(n+2), .keys th:nth-child(n+2), .words td, .words th { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.keys td:first-child, .keys td:nth-child(n+2), .keys th:nth-child(n+2) { min-width: 5rem; overflow-wrap: break-word; }
.confusion td { text-align: center; } .confusion td:first-child, .confusion th:first-child { text-align: left; }
.confusion .hit { background: color-mix(in srgb, var(--good) calc(var(--share) * 1%), transparent); }
.confusion .miss { background: color-mix(in srgb, var(--drop) calc(var(--share) * 1%), transparent); }
.sample { margin-bottom: .75rem; display: grid; gap: 0 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(13rem, 100%), 1fr)); } .sample pre { margin: .1rem 0 .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { :root { --back: #fff; --fore: #000; --dim: #444; --line: #bbb; --card: #fff; } body { padding: 0; max-width: none;
  font-size: 12px; } code, pre { font-size: 11px; } .box, .card, .chart { break-inside: avoid; } .scroll { overflow: visible; }
  h2, h3 { break-after: avoid; } .charts { grid-template-columns: 1fr 1fr; } .sample { grid-template-columns: repeat(4, 1fr); }
  th, td { padding: .15rem .5rem; } .sample pre { margin-bottom: 0; } details:not([open]) { display: none; } }
)";

}  // namespace

std::string html_element(const std::string& name, const std::string& inside, const std::string& css) {
  return "<" + name + (css.empty() ? "" : " class=\"" + css + "\"") + ">" + inside + "</" + name + ">";
}

std::string html_row(const char* cell, const std::vector<std::string>& cells, const std::vector<bool>& right) {
  std::string row;
  for (size_t i = 0; i < cells.size(); ++i) {
    row += html_element(cell, cells[i], i > 0 && i < right.size() && !right[i] ? "text" : "");
  }
  return html_element("tr", row) + "\n";
}

std::string html_table(const std::string& head, const std::string& body, const std::string& css) {
  return html_element("div", html_element("table", html_element("thead", head) + html_element("tbody", body), css),
                      "box scroll") +
         "\n";
}

std::string html_cards(const std::vector<std::pair<std::string, std::string>>& cards) {
  std::string text;
  for (const auto& [number, label] : cards) text += html_element("div", html_element("b", number) + label, "card");
  return html_element("div", text, "cards") + "\n";
}

std::string html_document(const std::string& title, const std::string& body) {
  const std::string head =
      "<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>" +
      html_element("title", html_escaped(title)) + html_element("style", kStyle);
  return "<!DOCTYPE html>\n<html lang=\"en\">" + html_element("head", head) + "\n" + html_element("body", body) +
         "</html>\n";
}

}  // namespace lora
