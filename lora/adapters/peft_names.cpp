#include "lora/adapters/peft_names.h"

#include <ATen/ATen.h>

#include <array>
#include <string_view>

#include "models/base/error.h"
#include "models/io/same_values.h"

namespace lora {
namespace {

constexpr std::array<std::string_view, 5> kPassedOver = {"default", "modules_to_save", "_orig_mod",
                                                         "_fsdp_wrapped_module", "_checkpoint_wrapped_module"};

std::string peft_name(std::string name) {
  for (const std::string_view part : kPassedOver) {
    const std::string inner = "." + std::string(part) + ".", last = "." + std::string(part);
    for (size_t at; (at = name.find(inner)) != std::string::npos;) name.erase(at, last.size());
    if (name.ends_with(last)) name.resize(name.size() - last.size());
  }
  // PEFT's files leave out that DoRA's magnitude is the weight of a module.
  constexpr std::string_view kMagnitude = ".lora_magnitude_vector";
  if (name.ends_with(std::string(kMagnitude) + ".weight")) name.resize(name.rfind('.'));
  return name;
}

}  // namespace

std::map<std::string, std::string> peft_names(const SafetensorsFile& file) {
  std::map<std::string, std::string> names;
  for (const auto& [own, entry] : file.entries()) {
    const auto [found, is_new] = names.emplace(peft_name(own), own);
    if (is_new || same_values(file.tensor(own), file.tensor(found->second))) continue;
    throw ModelError(file.path().string() + ": '" + own + "' and '" + found->second +
                     "' differ; expected the same values of '" + found->first + "' in both");
  }
  return names;
}

}  // namespace lora
