#pragma once
// The body of /v1/embeddings, read and checked: OpenAI's names.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lora/serving/request_values.h"

namespace lora {

struct EmbeddingRequest {
  std::string model;                  // as the request has it; empty: it has none
  std::vector<PromptInput> inputs;    // at least one
  std::optional<int64_t> dimensions;  // at least 1
  bool is_base64 = false;             // float32 in little endian; else numbers
};

// Throws ApiError (status 400) with the parameter at fault.
EmbeddingRequest read_embedding_request(const std::string& body);

}  // namespace lora
