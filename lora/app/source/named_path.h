#pragma once
// An adapter on a command line: NAME=PATH, or PATH alone.

#include <filesystem>
#include <string>

#include "lora/adapters/adapter_name.h"

namespace lora {

struct NamedPath {
  std::string name, path;
};

// Alone, a path gives its last part as the name; that of a run where it is the run's folder `adapter`. What is there as
// a path is one, whatever its name holds.
inline NamedPath named_path(const std::string& argument) {
  const size_t equals = argument.find('=');
  if (equals != std::string::npos && argument.find('/') > equals && !std::filesystem::exists(argument)) {
    return {argument.substr(0, equals), argument.substr(equals + 1)};
  }
  const std::filesystem::path plain = std::filesystem::absolute(argument).lexically_normal();
  const std::filesystem::path path = plain.has_filename() ? plain : plain.parent_path();
  const bool of_run = path.filename() == "adapter" && path.has_parent_path();
  return {(of_run ? path.parent_path() : path).filename().string(), argument};
}

}  // namespace lora
