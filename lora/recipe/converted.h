#pragma once
// A recipe in the making, out of another trainer's file: values by their paths, and what a person is to be told.

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lora {

class ConvertedRecipe {
 public:
  // Takes a value (YAML) for our key, if the recipe's reader does; with another tool's name for it replaced by ours.
  // A value that is not taken is left out, as that of `key`, and so is one of a whole section.
  void put(const std::string& path, std::string value, const std::string& key);
  // Takes a value that is known to be right. `comment`: behind it, in its line.
  void set(const std::string& path, const std::string& value, const std::string& comment = "");
  // The same, where the recipe has no value for the path yet.
  void set_once(const std::string& path, const std::string& value, const std::string& comment = "");
  bool has(const std::string& path) const { return values_.contains(path); }
  // Empty where the recipe has none.
  std::string value(const std::string& path) const;
  void erase(const std::string& path);
  // Every key of our section `adapter` but its method.
  void erase_adapter();

  // A setting of the file that the recipe does not have.
  void leave_out(const std::string& key, const std::string& value, const std::string& why);
  // What a person has to do or to know before it runs.
  void settle(const std::string& what) { settle_.push_back(what); }

  // The recipe as YAML, in the order of to_yaml, under a comment that begins with `title`.
  std::string text(const std::string& title) const;

 private:
  struct Line {
    std::string path, value, comment;
  };
  std::vector<Line> lines() const;
  // What there is at or below `path`, in flow style; empty where there is nothing. Comments are added with the part's name.
  std::string flow(const std::string& path, const std::string& name, std::string& comment) const;

  std::map<std::string, std::string> values_, comments_;  // by our path
  std::vector<std::string> left_out_, settle_;
};

}  // namespace lora
