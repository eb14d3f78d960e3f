// What parse_json adds to nlohmann's parser: a bound on depth, and that all of the text counts.

#include "models/base/json.h"

#include <sstream>

#include "tests/catch.h"

using namespace lora;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("JSON up to the greatest depth is read, and deeper JSON is an error at its bracket") {
  CHECK(parse_json<json>(nested(kMaxJsonDepth)).is_array());
  CHECK_THROWS_WITH(parse_json<json>(nested(kMaxJsonDepth + 1)),
                    Contains("nested deeper than 200") && Contains("byte 201"));
  CHECK(parse_json_or_discard<json>(nested(100'000)).is_discarded());
  CHECK_THROWS_AS(parse_json<json>(std::string(100'000, '{')), json::parse_error);
  std::istringstream stream("{\"a\": [1, 2]}");
  CHECK(parse_json<json>(stream).at("a").size() == 2);
}

TEST_CASE("brackets in strings do not nest, behind escaped quotes neither") {
  const json value = {{"text", std::string(1000, '[') + "\"" + std::string(1000, '{') + "\\"}, {"list", {1, {2, 3}}}};
  CHECK(parse_json<json>(value.dump()) == value);
  CHECK(parse_json<json>(json(std::vector<std::vector<int>>(1000, {1, 2})).dump()).size() == 1000);
}

TEST_CASE("damaged JSON is nlohmann's error, and a number beyond float64 too") {
  CHECK_THROWS_AS(parse_json<json>("{\"a\": "), json::parse_error);
  CHECK_THROWS_AS(parse_json<json>("1e999"), json::exception);
  CHECK(parse_json_or_discard<json>("1e999").is_discarded());
  CHECK(parse_json_or_discard<json>("").is_discarded());
}

TEST_CASE("JSON with a NUL byte is refused, not read up to it") {
  using namespace std::literals;
  CHECK_THROWS_WITH(parse_json<json>("{\"a\": 1}\0{\"b\": 2}"sv), Contains("NUL") && Contains("byte 9"));
  CHECK_THROWS_AS(parse_json<json>("[1]\0"sv), json::parse_error);
  CHECK_THROWS_AS(parse_json<json>("\"a\0b\""sv), json::parse_error);
  CHECK(parse_json<json>("\"a\\u0000b\"") == "a\0b"s);
}

TEST_CASE("an integer is read as it stands or refused, not cut and not made of something else") {
  CHECK(integer_of(json(-7)) == -7);
  CHECK(integer_of(parse_json<json>("9223372036854775807")) == INT64_MAX);
  CHECK(integer_of<uint64_t>(parse_json<json>("18446744073709551615")) == UINT64_MAX);
  CHECK(integers_of(json({1, 2, 3})) == std::vector<int64_t>{1, 2, 3});
  for (const char* text : {"8.5", "8.0", "1e300", "9223372036854775808", "true", "null", "\"8\"", "[8]"}) {
    INFO(text);
    CHECK_THROWS_AS(integer_of(parse_json<json>(text)), json::type_error);
  }
  CHECK_THROWS_AS(integer_of<uint64_t>(json(-1)), json::type_error);
  CHECK_THROWS_AS(integer_of<int32_t>(json(int64_t{1} << 31)), json::type_error);
  CHECK_THROWS_AS(integers_of(json({1, 2.5})), json::type_error);
  CHECK_THROWS_AS(integers_of(json(1)), json::type_error);
}
