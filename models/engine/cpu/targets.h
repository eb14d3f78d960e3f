#pragma once
// The instruction sets that kernels are not compiled for; to be included before Highway.

// Tiles are arrays of vectors, which vectors of a length known at run time only cannot be in. ARM's machines have NEON.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
