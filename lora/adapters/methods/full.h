#pragma once
// Full fine-tuning: every weight of the network is trained, and nothing is wrapped. There is no adapter: files are
// Hugging Face's.

#include "lora/adapters/method.h"

namespace lora {

Method full_method();

}  // namespace lora
