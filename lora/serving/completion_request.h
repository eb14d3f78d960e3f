#pragma once
// The bodies of /v1/chat/completions and /v1/completions, read and checked: OpenAI's names, and those that other
// servers of open models share (top_k, min_p, repetition_penalty).
//
// A key that is not known is refused with the nearest one that is, as OpenAI's own API does. Keys that only describe
// the request (user, metadata, store: false, service_tier, …) are accepted. Keys that ask for what is not there (best_of
// above 1, suffix, audio, …) are refused.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/chat.h"
#include "lora/inference/json_grammar.h"
#include "lora/serving/request_values.h"

namespace lora {

struct CompletionRequest {
  bool is_chat = false;
  std::string model;                 // as the request has it; empty: it has none
  Chat chat;                         // of is_chat
  std::vector<PromptInput> prompts;  // of others, at least one
  std::optional<int64_t> max_tokens;
  double temperature = 1, top_p = 1, min_p = 0;
  int64_t top_k = 0;  // 0: all
  double repetition_penalty = 1, frequency_penalty = 0, presence_penalty = 0;
  std::map<int64_t, double> logit_bias;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;        // at most 16 texts, none empty
  int64_t count = 1;                    // `n`: answers to each prompt
  std::optional<int64_t> top_logprobs;  // asked for, with so many of the likeliest tokens, 0 … 20
  std::optional<JsonGrammar> json;      // the answers are JSON values of this, by `response_format`
  bool stream = false, stream_usage = false;
};

// Throw ApiError (status 400) with the parameter at fault.
CompletionRequest read_chat_request(const std::string& body);
CompletionRequest read_completion_request(const std::string& body);

}  // namespace lora
