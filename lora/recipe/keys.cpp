#include "lora/recipe/keys.h"

#include <algorithm>
#include <functional>

#include "lora/recipe/fields.h"
#include "lora/recipe/needless_keys.h"
#include "models/base/did_you_mean.h"

namespace lora {
namespace {

using KeyTable = std::map<std::string, std::vector<std::string>>;

class KeyCollector {
 public:
  KeyCollector(KeyTable& table, std::string section) : table_(table), section_(std::move(section)) {}

  template <typename T, typename Rule>
  void value(const std::string& key, T&, const Rule&) {
    table_[section_].push_back(key);
  }
  template <typename T, typename Rule>
  void required(const std::string& key, T&, const Rule&) {
    table_[section_].push_back(key);
  }
  template <typename Section>
  void section(const std::string& key, Section& part) {
    table_[section_].push_back(key);
    KeyCollector inner(table_, section_.empty() ? key : section_ + "." + key);
    describe(inner, part);
  }
  template <typename Section>
  void sections(const std::string& key, std::vector<Section>&) {
    Section one;
    section(key, one);
  }

 private:
  KeyTable& table_;
  std::string section_;
};

struct Place {
  std::string section, key;
};

Place split(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? Place{"", path} : Place{path.substr(0, dot), path.substr(dot + 1)};
}

std::string named(const std::string& section) { return section.empty() ? "at the top level" : "in '" + section + "'"; }

// Where else the key stands: below `section` if it does there, else anywhere.
std::vector<std::string> other_sections_of(const std::string& key, const std::string& section) {
  std::vector<std::string> below, anywhere;
  for (const auto& [name, keys] : known_keys()) {
    if (std::ranges::count(keys, key) == 0) continue;
    anywhere.push_back(name);
    if (!section.empty() && name.starts_with(section + ".")) below.push_back(name);
  }
  return below.empty() ? anywhere : below;
}

KeyHint suggestion(const Place& place, const std::string& section, const std::string& note) {
  return {" (did you mean '" + place.key + "'" + (place.section == section ? "" : " " + named(place.section)) + "?" +
              (note.empty() ? "" : " " + note) + ")",
          place.section.empty() ? place.key : place.section + "." + place.key};
}

}  // namespace

const KeyTable& known_keys() {
  static const KeyTable table = [] {
    KeyTable made;
    KeyCollector collector(made, "");
    Recipe recipe;
    describe(collector, recipe);
    made[""].push_back("adapters");  // a list of recipes' parts, taken apart before any of them is read
    return made;
  }();
  return table;
}

std::vector<std::string> override_paths() {
  std::vector<std::string> paths;
  // `shown`: the section with a place in its list of sources.
  const std::function<void(const std::string&, const std::string&)> add = [&](const std::string& section,
                                                                              const std::string& shown) {
    for (const std::string& key : known_keys().at(section)) {
      const std::string inner = section.empty() ? key : section + "." + key, path = shown + key;
      if (!known_keys().contains(inner)) {
        if (inner != "adapters") paths.push_back(path);
      } else {
        const bool is_list = inner == "data.train" || inner == "data.validation";
        add(inner, path + (is_list ? ".0." : "."));
      }
    }
  };
  add("", "");
  return paths;
}

KeyHint key_hint(const std::string& section, const std::string& key) {
  std::string others;
  const std::vector<std::string> places = other_sections_of(key, section);
  for (const std::string& other : places) others += (others.empty() ? "" : " or ") + named(other);
  if (!others.empty()) {
    return {" ('" + key + "' belongs " + others + ")", places[0].empty() ? key : places[0] + "." + key};
  }

  const auto& synonyms = key_synonyms();
  if (const auto found = synonyms.find(key); found != synonyms.end()) {
    return suggestion(split(found->second.path), section, found->second.note);
  }

  if (const std::string reason = needless_reason(key); !reason.empty()) return {" (leave it out: " + reason + ")", ""};

  // Of names equally near, those of the section itself come first.
  std::vector<std::string> names = known_keys().at(section);
  for (const auto& [name, keys] : known_keys()) names.insert(names.end(), keys.begin(), keys.end());
  for (const auto& [name, synonym] : synonyms) names.push_back(name);
  const auto nearest = nearest_names(key, names);
  if (nearest.empty()) return {};
  const std::string& name = nearest.front();
  if (std::ranges::count(known_keys().at(section), name) > 0) return suggestion({section, name}, section, "");
  const auto sections = other_sections_of(name, section);
  if (!sections.empty()) return suggestion({sections.front(), name}, section, "");
  const auto& synonym = synonyms.at(name);
  return suggestion(split(synonym.path), section, synonym.note);
}

}  // namespace lora
