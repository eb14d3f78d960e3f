#include "lora/serving/completion_response.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

Json finish_value(const std::optional<FinishReason>& finish) {
  if (!finish) return nullptr;
  return *finish == FinishReason::kStop ? "stop" : "length";
}

// {"token", "logprob", "bytes"}
Json scored(const Tokenizer& tokenizer, int64_t id, double log_probability) {
  const std::string piece = tokenizer.piece(id);
  Json bytes = Json::array();
  for (const char c : piece) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", piece}, {"logprob", log_probability}, {"bytes", bytes}};
}

Json chat_scores(const Tokenizer& tokenizer, const std::vector<ScoredToken>& tokens) {
  Json content = Json::array();
  for (const ScoredToken& token : tokens) {
    Json one = scored(tokenizer, token.id, token.log_probability);
    Json likeliest = Json::array();
    for (const auto& [id, log_probability] : token.likeliest) {
      likeliest.push_back(scored(tokenizer, id, log_probability));
    }
    one["top_logprobs"] = likeliest;
    content.push_back(one);
  }
  return {{"content", content}, {"refusal", nullptr}};
}

Json text_scores(const Tokenizer& tokenizer, const std::vector<ScoredToken>& tokens, size_t offset) {
  Json names = Json::array(), scores = Json::array(), likeliest = Json::array(), offsets = Json::array();
  for (const ScoredToken& token : tokens) {
    const std::string piece = tokenizer.piece(token.id);
    names.push_back(piece);
    scores.push_back(token.log_probability);
    Json best = Json::object();
    for (const auto& [id, log_probability] : token.likeliest) best[tokenizer.piece(id)] = log_probability;
    likeliest.push_back(best);
    offsets.push_back(offset);
    offset += piece.size();
  }
  return {{"tokens", names}, {"token_logprobs", scores}, {"top_logprobs", likeliest}, {"text_offset", offsets}};
}

Json scores_value(const ResponseHead& head, const Tokenizer& tokenizer, const std::vector<ScoredToken>& tokens,
                  bool with_scores, size_t offset) {
  if (!with_scores) return nullptr;
  return head.is_chat ? chat_scores(tokenizer, tokens) : text_scores(tokenizer, tokens, offset);
}

Json usage_value(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.answer_tokens},
          {"total_tokens", usage.prompt_tokens + usage.answer_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

Json headed(const ResponseHead& head, const char* object) {
  return {{"id", head.id}, {"object", object}, {"created", head.created}, {"model", head.model}};
}

Json chunk_head(const ResponseHead& head) {
  return headed(head, head.is_chat ? "chat.completion.chunk" : "text_completion");
}

}  // namespace

Json whole_response(const ResponseHead& head, const std::vector<Choice>& choices, const Usage& usage, bool with_scores,
                    const Tokenizer& tokenizer) {
  Json list = Json::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    const Choice& choice = choices[i];
    Json one = {{"index", i}};
    if (head.is_chat) {
      one["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    } else {
      one["text"] = choice.text;
    }
    one["logprobs"] = scores_value(head, tokenizer, choice.tokens, with_scores, 0);
    one["finish_reason"] = finish_value(choice.finish);
    list.push_back(one);
  }
  Json response = headed(head, head.is_chat ? "chat.completion" : "text_completion");
  response["choices"] = list;
  response["usage"] = usage_value(usage);
  return response;
}

Json role_chunk(const ResponseHead& head, int64_t index) {
  Json chunk = chunk_head(head);
  chunk["choices"] = Json::array({{{"index", index},
                                   {"delta", {{"role", "assistant"}, {"content", ""}}},
                                   {"logprobs", nullptr},
                                   {"finish_reason", nullptr}}});
  return chunk;
}

Json piece_chunk(const ResponseHead& head, int64_t index, const AnswerPiece& piece, bool with_scores,
                 const Tokenizer& tokenizer, size_t offset) {
  Json choice = {{"index", index}};
  if (!head.is_chat) {
    choice["text"] = piece.text;
  } else {
    choice["delta"] = Json::object();
    if (!piece.text.empty()) choice["delta"]["content"] = piece.text;
  }
  choice["logprobs"] = scores_value(head, tokenizer, piece.tokens, with_scores && !piece.tokens.empty(), offset);
  choice["finish_reason"] = finish_value(piece.finish);
  Json chunk = chunk_head(head);
  chunk["choices"] = Json::array({choice});
  return chunk;
}

Json usage_chunk(const ResponseHead& head, const Usage& usage) {
  Json chunk = chunk_head(head);
  chunk["choices"] = Json::array();
  chunk["usage"] = usage_value(usage);
  return chunk;
}

std::string server_sent_event(const Json& data) {
  return "data: " + data.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n";
}

}  // namespace lora
