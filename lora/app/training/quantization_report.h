#pragma once
// What quantisation kept and lost, for the person at the terminal.

#include <string>
#include <vector>

#include "lora/quantization/quantizer.h"

namespace lora {

// "nf4, 560 projections of 64,760,578,048 parameters in 33.4 GB, 4.13 bits each; relative error 0.0931, at most 0.1012
// (model.layers.0.self_attn.q_proj)". Of at least one module.
std::string quantization_line(const std::vector<QuantizedModule>& modules);

// One line a kind of module, layers counted together: parameters, bits of each, mean and largest relative error.
std::string quantization_table(const std::vector<QuantizedModule>& modules);

}  // namespace lora
