// What parse_json adds to nlohmann's parser: a bound on depth, and that a key twice is an error.

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
  CHECK_THROWS_WITH(parse_json<json>(nested(kMaxJsonDepth + 1)), Contains("nested deeper than 200"));
  CHECK_THROWS_WITH(parse_json<json>("[[1]]", 1), Contains("nested deeper than 1"));
  CHECK(parse_json_or_discard<json>(nested(100'000)).is_discarded());
  CHECK_THROWS_AS(parse_json<json>(std::string(100'000, '{')), json::parse_error);
  CHECK_THROWS_AS(parse_json<json>(std::string(100'000, '[')), json::other_error);
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

TEMPLATE_TEST_CASE("values, and the order of keys, are those of nlohmann's own parser", "", json,
                   nlohmann::ordered_json) {
  for (const char* text : {"null", "true", "-1", "18446744073709551615", "-0.0", "1e-7", "0.1",
                           "12345678901234567890123", "\"\\u00e9\\n\"", "[]", "{}", "[[], {}, [1, [2, [3]]], \"a\"]",
                           R"({"b": 1, "a": {"z": [1, {"y": null}], "": false}, "c": []})"}) {
    CAPTURE(text);
    const auto parsed = parse_json<TestType>(std::string_view(text));
    CHECK(parsed == TestType::parse(text));
    CHECK(parsed.dump() == TestType::parse(text).dump());
  }
}

TEMPLATE_TEST_CASE("a key that an object has twice is an error, and the same key in another object is none", "", json,
                   nlohmann::ordered_json) {
  const auto repeated = [](int count) {
    std::string text = "{\"x\": 0";
    for (int i = 0; i < count; ++i) text += ", \"k" + std::to_string(i) + "\": {\"x\": 1}";
    return text;
  };
  for (const int count : {0, 5, 100}) {
    CAPTURE(count);
    CHECK(parse_json<TestType>(repeated(count) + "}").size() == static_cast<size_t>(count) + 1);
    CHECK_THROWS_WITH(parse_json<TestType>(repeated(count) + ", \"x\": 0}"), Contains("key 'x' is there twice"));
    CHECK_THROWS_WITH(parse_json<TestType>("[" + repeated(count) + ", \"a\": {\"y\": 1, \"y\": 1}}]"),
                      Contains("key 'y' is there twice"));
    CHECK(parse_json_or_discard<TestType>(repeated(count) + ", \"x\": 0}").is_discarded());
  }
}

// Hours where each key is looked for among those before it, or where a value is copied as its list grows.
TEMPLATE_TEST_CASE("an object of a million keys is read in time that is linear in them", "", json,
                   nlohmann::ordered_json) {
  std::string text = "{\"first\": [";
  for (int i = 0; i < 300'000; ++i) text += "[" + std::to_string(i) + "],";
  text += "0]";
  for (int i = 0; i < 1'000'000; ++i) text += ", \"k" + std::to_string(i) + "\": 1";
  CHECK(parse_json<TestType>(text + "}").size() == 1'000'001);
}
