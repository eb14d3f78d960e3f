#pragma once
// Everything that is wrong with a recipe and with what it names, so that a person corrects it in one go.

#include <set>
#include <string>
#include <vector>

#include "models/base/error.h"

namespace lora {

class Problems {
 public:
  // Runs `check`, which ends at a RecipeError that it throws; the error is noted. Returns true if there is none.
  template <typename Check>
  bool note(const Check& check) {
    try {
      check();
      return true;
    } catch (const RecipeError& error) {
      add(error);
      return false;
    }
  }
  // Notes an error, or all errors of one that throw_any() made. An error that is noted already is left out.
  void add(const Error& error);
  void add(const Problems& others);
  bool empty() const { return messages_.empty(); }

  // Notes that the value at `path` is not known: it is missing, of a wrong type or under a wrong name. A rule that
  // reads it would only report the same again.
  void spoil(const std::string& path) { spoiled_.insert(path); }
  // True if `path`, something inside it or something around it is spoiled.
  bool is_spoiled(const std::string& path) const;

  // Throws if there is any: each on a line of its own, by line and column of the file, then those of overrides. The
  // error is a RecipeError where one of them has its exit code; else it has the code of the first.
  void throw_any() const;

 private:
  struct Message {
    ExitCode code;
    std::string text;  // with the component
  };
  void add(ExitCode code, const std::string& text);

  std::vector<Message> messages_;
  std::set<std::string> noted_;  // their texts
  std::set<std::string> spoiled_;
};

}  // namespace lora
