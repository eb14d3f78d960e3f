#pragma once
// An answer that is a JSON value of a schema: which tokens may come next in it.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lora/inference/json_grammar.h"
#include "lora/inference/json_places.h"
#include "lora/inference/token_texts.h"

namespace lora {

// What answers have in common. Immutable: any thread.
struct JsonForm {
  // Throws ModelError where the schema has other characters than ASCII's and the tokenizer no tokens for all bytes.
  JsonForm(JsonGrammar given_grammar, std::shared_ptr<const TokenTexts> given_tokens);

  const JsonGrammar grammar;
  const std::shared_ptr<const TokenTexts> tokens;
};

// One answer. Used by one thread at a time.
class JsonAnswer {
 public:
  // `end_ids`: tokens that may come where the value is whole.
  JsonAnswer(std::shared_ptr<const JsonForm> form, std::span<const int64_t> end_ids);

  // Sets the logits (V) of all tokens that cannot come next to -inf. At least one can, unless is_over().
  //
  // Within a string most of a vocabulary can come. What does not end the string was looked up when the form was made;
  // only tokens that end it are followed through the grammar.
  void mask(std::span<float> logits);
  // The token comes: one that can, or any of end_ids.
  void take(int64_t id);

  // The value may end here.
  bool is_whole() const;
  // It is whole, and nothing may follow.
  bool is_over() const;

 private:
  void allow(int64_t id) {
    if (static_cast<size_t>(id) < allowed_.size()) allowed_[static_cast<size_t>(id)] = 1;
  }
  void follow(const TokenTrie& trie);
  void allow_inner(const JsonPlaces& inside, bool names);

  std::shared_ptr<const JsonForm> form_;
  JsonSteps steps_;
  std::vector<int64_t> end_ids_;
  JsonPlaces places_;
  std::vector<JsonPlaces> ahead_;  // by depth in a trie
  std::vector<uint8_t> allowed_;
};

}  // namespace lora
