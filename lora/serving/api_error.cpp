#include "lora/serving/api_error.h"

namespace lora {
namespace {

const char* error_type(int status) {
  if (status == 401 || status == 403) return "authentication_error";
  if (status == 404) return "not_found_error";
  if (status == 429 || status == 503) return "overloaded_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

nlohmann::ordered_json text_or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return text;
}

}  // namespace

nlohmann::ordered_json error_object(const ApiError& error) {
  return {{"error",
           {{"message", error.what()},
            {"type", error_type(error.status)},
            {"param", text_or_null(error.param)},
            {"code", text_or_null(error.code)}}}};
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{.status = error.status,
                        .body = error_object(error).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
  if (error.status == 401) response.fields.emplace_back("WWW-Authenticate", "Bearer");
  if (error.status == 429 || error.status == 503) response.fields.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace lora
