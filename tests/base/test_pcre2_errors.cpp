#include "models/base/pcre2_errors.h"

#include "tests/catch.h"

using namespace lora;

TEST_CASE("memory that a regular expression lacks is no error of the expression") {
  constexpr int kNoMemory = -48, kHeapFailed = 121, kMatchLimit = -47;  // pcre2.h's
  CHECK_THROWS_AS(pcre2_error_text(kNoMemory), std::bad_alloc);
  CHECK_THROWS_AS(pcre2_error_text(kHeapFailed), std::bad_alloc);
  CHECK(pcre2_error_text(kMatchLimit) == "match limit exceeded");
  int object = 0;
  CHECK(pcre2_made(&object) == &object);
  CHECK_THROWS_AS(pcre2_made<int>(nullptr), std::bad_alloc);
}
