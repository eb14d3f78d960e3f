// The body of a request to lora-serve, as a chat and as a text to continue.

#include "lora/serving/completion_request.h"

#include "lora/serving/api_error.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(completion_request) {
  const std::string body(input);
  for (const auto read : {lora::read_chat_request, lora::read_completion_request}) {
    try {
      const lora::CompletionRequest request = read(body);
      if (request.count < 1 || (!request.is_chat && request.prompts.empty())) ::abort();
    } catch (const lora::ApiError& error) {
      if (error.status != 400) ::abort();
      lora::error_response(error);
    }
  }
}
