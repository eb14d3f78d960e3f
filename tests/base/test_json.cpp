// What parse_json adds to nlohmann's parser: a bound on depth.

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
