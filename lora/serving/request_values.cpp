#include "lora/serving/request_values.h"

#include <algorithm>

#include "lora/serving/api_error.h"
#include "models/base/did_you_mean.h"
#include "models/base/json.h"

namespace lora {

using Json = nlohmann::ordered_json;

void refuse_value(const std::string& param, const std::string& expected, const Json& found) {
  std::string shown = found.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (shown.size() > 60) shown = shown.substr(0, 60) + "…";
  throw ApiError(400, "'" + param + "': found " + shown + ", expected " + expected, param);
}

double number_in(const std::string& param, const Json& value, double least, double most) {
  const std::string expected = "a number from " + Json(least).dump() + " to " + Json(most).dump();
  if (!value.is_number()) refuse_value(param, expected, value);
  const auto number = value.get<double>();  // finite, as all numbers of JSON
  if (number < least || number > most) refuse_value(param, expected, value);
  return number;
}

int64_t integer_in(const std::string& param, const Json& value, int64_t least, int64_t most) {
  const std::string expected = most == kAnyInteger
                                   ? "an integer of at least " + std::to_string(least)
                                   : "an integer from " + std::to_string(least) + " to " + std::to_string(most);
  if (!value.is_number_integer()) refuse_value(param, expected, value);
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(most)) {
    refuse_value(param, expected, value);
  }
  const auto integer = value.get<int64_t>();
  if (integer < least || integer > most) refuse_value(param, expected, value);
  return integer;
}

bool flag_in(const std::string& param, const Json& value) {
  if (!value.is_boolean()) refuse_value(param, "true or false", value);
  return value.get<bool>();
}

std::string text_in(const std::string& param, const Json& value) {
  if (!value.is_string()) refuse_value(param, "a text", value);
  return value.get<std::string>();
}

std::vector<PromptInput> prompts_in(const std::string& param, const Json& value, size_t most) {
  const auto tokens = [&](const Json& list) {
    std::vector<int64_t> ids;
    for (const Json& id : list) ids.push_back(integer_in(param, id, 0, kAnyInteger));
    return ids;
  };
  std::vector<PromptInput> prompts;
  if (value.is_string()) {
    prompts.emplace_back(text_in(param, value));
  } else if (value.is_array() && !value.empty() && value.front().is_number()) {
    prompts.emplace_back(tokens(value));
  } else if (value.is_array() && !value.empty() && value.size() <= most) {
    for (const Json& one : value) {
      one.is_array() ? prompts.emplace_back(tokens(one)) : prompts.emplace_back(text_in(param, one));
    }
  } else {
    refuse_value(param, "a text, a list of tokens, or a list of at most " + std::to_string(most) + " of either", value);
  }
  return prompts;
}

void expect_keys(const std::string& param, const Json& object, const std::vector<std::string>& keys) {
  if (!object.is_object()) refuse_value(param, "an object", object);
  for (const auto& item : object.items()) {
    if (std::ranges::find(keys, item.key()) != keys.end()) continue;
    throw ApiError(400, "'" + param + "': '" + item.key() + "' is not a key of it" + did_you_mean(item.key(), keys),
                   param);
  }
}

void refuse_key(const std::string& key, const std::vector<std::string>& known) {
  throw ApiError(400, "'" + key + "' is not a parameter" + did_you_mean(key, known), key, "unknown_parameter");
}

Json body_object(const std::string& body) {
  Json object;
  try {
    object = parse_json<Json>(body);
  } catch (const nlohmann::json::other_error& error) {
    throw ApiError(400, "the body's JSON: " + json_problem(error));
  } catch (const nlohmann::detail::exception&) {
    throw ApiError(400, "the body is not JSON; expected an object, in UTF-8");
  }
  if (!object.is_object()) throw ApiError(400, "the body is not an object of JSON");
  return object;
}

}  // namespace lora
