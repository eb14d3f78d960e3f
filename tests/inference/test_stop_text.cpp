#include "lora/inference/stop_text.h"

#include "tests/catch.h"

using namespace lora;

TEST_CASE("the first stop text ends an answer, whichever it is") {
  CHECK(stop_place("one two three", {"three", "two"}) == 4);
  CHECK(stop_place("one two three", {"four"}) == std::string::npos);
  CHECK(stop_place("one", {""}) == std::string::npos);
  CHECK(stop_place("", {"a"}) == std::string::npos);
}

TEST_CASE("what may become a stop text is not certain yet") {
  CHECK(settled_bytes("a line\n", {"\n\nUser:"}) == 6);
  CHECK(settled_bytes("a line\n\nUs", {"\n\nUser:"}) == 6);
  CHECK(settled_bytes("a line\n\nUp", {"\n\nUser:"}) == 10);
  CHECK(settled_bytes("xaba", {"abac", "bad"}) == 1);
  CHECK(settled_bytes("ab", {"b", "zz"}) == 2);  // of one byte: it is there or it is not
  CHECK(settled_bytes("ab", {}) == 2);
}
