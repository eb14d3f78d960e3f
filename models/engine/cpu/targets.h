#pragma once
// The instruction sets that kernels are not compiled for. Include this before Highway.

// Register tiles are arrays of vectors, and vectors whose length is known only at run time cannot be array elements.
// ARM processors have NEON.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
