#include "lora/inference/json_answer.h"

#include <algorithm>
#include <limits>

#include "models/base/error.h"

namespace lora {
namespace {

using Stand = JsonPlace::Stand;

bool has_other_than_ascii(const std::string& text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

// Between two characters of a string, where a token that does not end it leads to nothing but the string.
bool is_inside(const JsonPlace& place) {
  return place.character == JsonCharacter::kNone && (place.stand == Stand::kString || place.stand == Stand::kOtherKey);
}

}  // namespace

JsonForm::JsonForm(JsonGrammar given_grammar, std::shared_ptr<const TokenTexts> given_tokens)
    : grammar(std::move(given_grammar)), tokens(std::move(given_tokens)) {
  if (tokens->has_all_bytes()) return;
  for (const JsonNode& node : grammar) {
    const auto problem = [](const std::string& text) {
      return ModelError("the schema has " + text + ", and the tokenizer no tokens for all bytes of it; expected ASCII");
    };
    for (const std::string& text : node.texts) {
      if (has_other_than_ascii(text)) throw problem(text);
    }
    for (const JsonProperty& property : node.properties) {
      if (has_other_than_ascii(property.key)) throw problem(property.key);
    }
  }
}

JsonAnswer::JsonAnswer(std::shared_ptr<const JsonForm> form, std::span<const int64_t> end_ids)
    : form_(std::move(form)),
      steps_(form_->grammar),
      end_ids_(end_ids.begin(), end_ids.end()),
      places_(steps_.begin()) {}

bool JsonAnswer::is_whole() const {
  return std::ranges::any_of(places_, [](const JsonPlace& place) { return place.stand == Stand::kWhole; });
}

bool JsonAnswer::is_over() const { return places_.size() == 1 && is_whole(); }

void JsonAnswer::mask(std::span<float> logits) {
  allowed_.assign(logits.size(), 0);
  if (is_whole()) {
    for (const int64_t id : end_ids_) allow(id);
  }
  const TokenTexts& tokens = *form_->tokens;
  ahead_.resize(tokens.all().depth() + 1);
  JsonPlaces inside, others;
  for (const JsonPlace& place : places_) (is_inside(place) ? inside : others).push_back(place);
  if (!inside.empty()) {
    for (const bool names : {false, true}) allow_inner(inside, names);
    ahead_[0] = std::move(inside);
    follow(tokens.closing());
  }
  if (!others.empty()) {
    ahead_[0] = std::move(others);
    follow(tokens.all());
  }
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!allowed_[i]) logits[i] = -std::numeric_limits<float>::infinity();
  }
}

// Allows the tokens of the trie that the places ahead_[0] take.
void JsonAnswer::follow(const TokenTrie& trie) {
  const auto& nodes = trie.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    JsonPlaces& to = ahead_[node.depth];
    steps_.take(ahead_[node.depth - 1], node.byte, to);
    if (to.empty()) {
      i = node.end;
      continue;
    }
    for (const int64_t id : trie.tokens(node)) allow(id);
    ++i;
  }
}

// Allows the tokens that stay within a string at one of the places: a name, which has no escapes, or any other.
void JsonAnswer::allow_inner(const JsonPlaces& inside, bool names) {
  int64_t room = 0;  // the most that one of them has
  for (const JsonPlace& place : inside) {
    if ((place.stand == Stand::kOtherKey) != names) continue;
    room = std::max(room, names ? place.names->most - place.at : place.node->most - place.count);
  }
  for (const InnerToken& token : form_->tokens->inner()) {
    if (token.characters > room) break;
    if (!names || !token.escapes) allow(token.id);
  }
}

void JsonAnswer::take(int64_t id) {
  if (std::ranges::find(end_ids_, id) != end_ids_.end()) return;
  JsonPlaces next;
  for (const char byte : form_->tokens->text(id)) {
    steps_.take(places_, static_cast<unsigned char>(byte), next);
    std::swap(places_, next);
  }
}

}  // namespace lora
