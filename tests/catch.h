#pragma once
// Catch2 2 or 3, after LibTorch's logging header, whose CHECK and LOG macros would otherwise take the place of Catch's.
// Include it instead of Catch2's own headers; its order among the other includes does not matter.

#include <c10/util/Logging.h>

#undef CHECK
#undef LOG

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
