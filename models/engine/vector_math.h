#pragma once
// LibTorch's elementwise functions, made ready for threads.

namespace lora {

// Computes one value with each function that LibTorch takes from MKL's vector mathematics. MKL before 2025.0 chooses a
// function's implementation in its first call, and a second thread within that call may get one of low accuracy
// (5e-5 of tanh; pytorch/pytorch#188791). Without this, one run in twenty-five of a small model with soft caps began
// with other bits. Does nothing after the first time. Any thread may call it.
void settle_vector_math();

}  // namespace lora
