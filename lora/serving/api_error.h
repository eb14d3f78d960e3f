#pragma once
// An answer to a request that is not carried out, as OpenAI's error object.

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "lora/serving/http_server.h"

namespace lora {

struct ApiError : std::runtime_error {
  // `parameter`: the request's key that is at fault; may be empty. `code`: OpenAI's, "model_not_found"; may be empty.
  ApiError(int http_status, const std::string& message, std::string parameter = "", std::string error_code = "")
      : std::runtime_error(message), status(http_status), param(std::move(parameter)), code(std::move(error_code)) {}

  int status;
  std::string param, code;
};

// {"error": {"message", "type", "param", "code"}}
nlohmann::ordered_json error_object(const ApiError& error);
HttpResponse error_response(const ApiError& error);

}  // namespace lora
