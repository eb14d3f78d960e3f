// to_yaml: the structs as a file that says everything.

#include "lora/recipe/fields.h"

namespace lora {
namespace {

class Printer {
 public:
  explicit Printer(std::string indent) : indent_(std::move(indent)) {}

  template <typename T, typename Rule>
  void value(const std::string& key, const T& member, const Rule& rule) {
    text_ += indent_ + key + ": " + print_value(member, rule) + "\n";
  }

  template <typename T, typename Rule>
  void required(const std::string& key, const T& member, const Rule& rule) {
    value(key, member, rule);
  }

  template <typename Section>
  void section(const std::string& key, Section& member) {
    text_ += indent_ + key + ":\n" + printed(member, indent_ + "  ");
  }

  template <typename Section>
  void sections(const std::string& key, std::vector<Section>& members) {
    text_ += indent_ + key + ":" + (members.empty() ? " []\n" : "\n");
    for (Section& member : members) {
      std::string item = printed(member, indent_ + "    ");
      item.replace(indent_.size() + 2, 2, "- ");
      text_ += item;
    }
  }

  const std::string& text() const { return text_; }

 private:
  template <typename Section>
  static std::string printed(Section& member, const std::string& indent) {
    Printer printer(indent);
    describe(printer, member);
    return printer.text();
  }

  std::string indent_, text_;
};

}  // namespace

std::string to_yaml(const Recipe& recipe) {
  Recipe copy = recipe;  // describe() serves readers too and so asks for a recipe it could change
  Printer printer("");
  describe(printer, copy);
  return printer.text();
}

}  // namespace lora
