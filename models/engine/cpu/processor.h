#pragma once
// What this processor has beyond the instruction sets that Highway distinguishes.

namespace lora::kernels {

// Whether this process may use AMX: the processor has it for bfloat16, the operating system grants it, and it is not
// forbidden.
bool amx();

// Whether the processor has AVX512-BF16, which rounds float32 to bfloat16 and multiplies pairs of bfloat16.
extern const bool avx512_bf16;

// Whether LibTorch's products of bfloat16 use the processor's vectors, which oneDNN's do on AVX-512 alone.
extern const bool library_has_bf16;

// For tests: forbids or allows AMX. Call it while no kernel runs.
void forbid_amx(bool forbidden);

}  // namespace lora::kernels
