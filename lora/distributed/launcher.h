#pragma once
// What the environment says of the launcher that started this process.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace lora {

struct Launcher {
  std::string name;       // "mpirun", "srun"
  std::string variable;   // that says so
  int64_t processes = 1;  // that it started together
  // Whether it gave each process one core without being asked to, however many the machine has.
  bool binds_by_default = false;
};

// None: this process was started alone. `variable` gives the value of a variable of the environment, null where there
// is none; without it, those of this process are read.
std::optional<Launcher> find_launcher(const std::function<const char*(const char*)>& variable = {});

}  // namespace lora
