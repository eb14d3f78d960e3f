#include "lora/serving/embedding_request.h"

#include "lora/serving/api_error.h"

namespace lora {
namespace {

constexpr size_t kMostInputs = 2048;  // OpenAI's

}  // namespace

EmbeddingRequest read_embedding_request(const std::string& body) {
  EmbeddingRequest request;
  const nlohmann::ordered_json object = body_object(body);
  for (const auto& item : object.items()) {
    const auto& value = item.value();
    if (value.is_null()) continue;  // as if it were not there
    if (item.key() == "model") {
      request.model = text_in("model", value);
    } else if (item.key() == "input") {
      request.inputs = prompts_in("input", value, kMostInputs);
    } else if (item.key() == "dimensions") {
      request.dimensions = integer_in("dimensions", value, 1, kAnyInteger);
    } else if (item.key() == "encoding_format") {
      if (value != "float" && value != "base64") refuse_value("encoding_format", "float or base64", value);
      request.is_base64 = value == "base64";
    } else if (item.key() != "user") {
      refuse_key(item.key(), {"model", "input", "dimensions", "encoding_format", "user"});
    }
  }
  if (request.inputs.empty()) throw ApiError(400, "'input' is missing", "input");
  return request;
}

}  // namespace lora
