// What parse_json adds to nlohmann's parser: a bound on depth, that a key twice is an error, and that all of the text
// counts.

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
