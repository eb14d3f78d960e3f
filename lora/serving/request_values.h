#pragma once
// Values in the bodies of requests, each checked. All throw ApiError (status 400) that names the parameter, what was
// found and what was expected.

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

namespace lora {

using PromptInput = std::variant<std::string, std::vector<int64_t>>;  // text, or tokens

inline constexpr int64_t kAnyInteger = std::numeric_limits<int64_t>::max();

// The whole body: an object.
nlohmann::ordered_json body_object(const std::string& body);

double number_in(const std::string& param, const nlohmann::ordered_json& value, double least, double most);
int64_t integer_in(const std::string& param, const nlohmann::ordered_json& value, int64_t least, int64_t most);
bool flag_in(const std::string& param, const nlohmann::ordered_json& value);
std::string text_in(const std::string& param, const nlohmann::ordered_json& value);
// A text, tokens, or a list of at most `most` of either.
std::vector<PromptInput> prompts_in(const std::string& param, const nlohmann::ordered_json& value, size_t most);
// An object with these keys and no others.
void expect_keys(const std::string& param, const nlohmann::ordered_json& object, const std::vector<std::string>& keys);

[[noreturn]] void refuse_value(const std::string& param, const std::string& expected,
                               const nlohmann::ordered_json& found);
// A parameter that is none of those known.
[[noreturn]] void refuse_key(const std::string& key, const std::vector<std::string>& known);

}  // namespace lora
