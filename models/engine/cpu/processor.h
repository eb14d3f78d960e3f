#pragma once
// What this processor has beyond the instruction sets that Highway tells apart.

namespace lora::kernels {

// Whether this process may use AMX: the processor has it for bfloat16, the system grants it, and nobody forbade it.
bool amx();

// It has AVX512-BF16: rounds float32 to bfloat16, and multiplies pairs of them.
extern const bool avx512_bf16;

// For tests of what other processors do. Call while no kernel runs.
void forbid_amx(bool forbidden);

}  // namespace lora::kernels
