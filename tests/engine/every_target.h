#pragma once
// Kernels on whatever this processor has.

#include <hwy/targets.h>

#include "models/engine/cpu/processor.h"
#include "models/engine/operations.h"
#include "tests/catch.h"

namespace lora {

// The CPU's table of operations.
inline const Operations& cpu_operations(at::ScalarType dtype) { return *operations_for(at::kCPU, dtype); }

// Runs `body` once for each instruction set that this processor has, on AVX-512 with and without AMX.
template <class F>
void on_every_target(F body) {
  const int64_t supported = hwy::SupportedTargets();
  for (int64_t target = 1; target > 0; target <<= 1) {
    if (!(supported & target)) continue;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    INFO("instruction set " << hwy::TargetName(target));
    body();
    if (!kernels::amx()) continue;
    INFO("without AMX");
    kernels::forbid_amx(true);
    body();
    kernels::forbid_amx(false);
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace lora
