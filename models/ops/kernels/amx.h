#pragma once
// Whether this process may use AMX.

namespace lora::kernels {

// The processor has it for bfloat16, the system grants it, and nobody forbade it.
bool amx();

// For tests of what other processors do. Call while no kernel runs.
void forbid_amx(bool forbidden);

}  // namespace lora::kernels
