#pragma once
// What shells offer behind a recipe.

#include "lora/cli/help_texts.h"
#include "lora/recipe/keys.h"

namespace lora {

inline Offer offer_override_keys() {
  Offer offer;
  for (const std::string& path : override_paths()) offer.words.push_back(path + "=");
  return offer;
}

}  // namespace lora
