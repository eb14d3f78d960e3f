#pragma once
// Answers in the form of OpenAI's API: chat.completion and text_completion, whole or as the chunks of a stream.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lora/serving/completion_request.h"
#include "lora/serving/scheduler.h"

namespace lora {

struct ResponseHead {
  bool is_chat;
  std::string id;   // "chatcmpl-…" or "cmpl-…"
  int64_t created;  // seconds since 1970
  std::string model;
};

// One answer, gathered.
struct Choice {
  std::string text;
  std::vector<ScoredToken> tokens;
  std::optional<FinishReason> finish;
};

struct Usage {
  int64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;
};

nlohmann::ordered_json whole_response(const ResponseHead& head, const std::vector<Choice>& choices, const Usage& usage,
                                      bool with_scores, const Tokenizer& tokenizer);

// The first chunk of a choice of a chat, which names the role.
nlohmann::ordered_json role_chunk(const ResponseHead& head, int64_t index);
// `offset`: bytes of the choice's text before this piece.
nlohmann::ordered_json piece_chunk(const ResponseHead& head, int64_t index, const AnswerPiece& piece, bool with_scores,
                                   const Tokenizer& tokenizer, size_t offset);
// The last chunk, where the client asked for it.
nlohmann::ordered_json usage_chunk(const ResponseHead& head, const Usage& usage);

// "data: {…}\n\n"
std::string server_sent_event(const nlohmann::ordered_json& data);

}  // namespace lora
