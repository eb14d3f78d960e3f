#include "models/base/memory_reserve.h"

#include "tests/catch.h"

using namespace lora;

TEST_CASE("a memory reserve is given up at the first allocation that fails, and not at the next") {
  const std::new_handler before = std::get_new_handler();
  {
    const MemoryReserve reserve(1 << 20);
    REQUIRE(std::get_new_handler() != before);
    CHECK_NOTHROW(std::get_new_handler()());
    CHECK_THROWS_AS(std::get_new_handler()(), std::bad_alloc);
  }
  CHECK(std::get_new_handler() == before);
}

TEST_CASE("a memory reserve that is refused leaves the handler as it was", "[no_memory]") {
  const std::new_handler before = std::get_new_handler();
  CHECK_THROWS_AS(MemoryReserve(size_t{1} << 62), std::bad_alloc);
  CHECK(std::get_new_handler() == before);
}
