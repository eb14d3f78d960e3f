// The body of a request to lora-serve: as a chat, as a text to continue, and as texts to embed.

#include "lora/serving/completion_request.h"

#include "lora/serving/api_error.h"
#include "lora/serving/embedding_request.h"
#include "tests/fuzz/target.h"

namespace {

// An ApiError is one of the request, and makes a response.
void read_body(const auto& read) {
  try {
    read();
  } catch (const lora::ApiError& error) {
    if (error.status != 400) ::abort();
    lora::error_response(error);
  }
}

}  // namespace

FUZZ_TARGET(completion_request) {
  const std::string body(input);
  for (const auto read : {lora::read_chat_request, lora::read_completion_request}) {
    read_body([&] {
      const lora::CompletionRequest request = read(body);
      if (request.count < 1 || (!request.is_chat && request.prompts.empty())) ::abort();
    });
  }
  read_body([&] {
    const lora::EmbeddingRequest request = lora::read_embedding_request(body);
    if (request.inputs.empty() || request.dimensions.value_or(1) < 1) ::abort();
  });
}
