// What a recipe may name is what there is: the recipe room reads no other room's tables, so they are compared here.

#include <set>

#include "lora/data/chat_template.h"
#include "lora/data/format.h"
#include "lora/export/export.h"
#include "lora/recipe/known_names.h"
#include "tests/catch.h"

using namespace lora;

namespace {

std::set<std::string> names(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

}  // namespace

TEST_CASE("a recipe's data formats and their columns are those of the data room") {
  std::set<std::string> found;
  for (const Format& format : formats()) {
    found.insert(format.name);
    CHECK(names(format_columns(format.name)) == names(format.columns));
  }
  std::set<std::string> columns;
  for (const Format& format : formats()) columns.insert(format.columns.begin(), format.columns.end());
  CHECK(names(format_columns("auto")) == columns);
  found.insert("auto");
  CHECK(names(known_formats().available) == found);
}

TEST_CASE("a recipe's chat templates are those of the data room") {
  std::set<std::string> found = {"auto", "model"};
  for (const auto& [name, source] : builtin_templates()) found.insert(name);
  CHECK(names(known_templates().available) == found);
}

TEST_CASE("a recipe's exports are those of the export room") {
  std::set<std::string> found;
  for (const auto& [name, format] : export_formats()) found.insert(name);
  CHECK(names(known_exports().available) == found);
}
