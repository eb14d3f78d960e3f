#include "lora/inference/answer_text.h"

#include "lora/data/sample.h"
#include "tests/catch.h"
#include "tests/paths.h"

using namespace lora;
using namespace lora::test;

namespace {

const Tokenizer& tokenizer() {
  static const auto loaded = load_tokenizer(source_dir() / "recipes/quickstart/model");
  return *loaded;
}

std::vector<int64_t> ids_of(const std::string& text) {
  std::vector<int64_t> ids;
  for (const Token& token : tokenizer().encode(text)) ids.push_back(token.id);
  return ids;
}

struct Shown {
  std::vector<std::string> pieces;
  std::string text;
  size_t read = 0;  // tokens until it stopped
};

// The answer's tokens are those that follow the prompt's in one text.
Shown show(const std::string& prompt, const std::string& answer, const std::vector<std::string>& stops = {}) {
  const auto prompt_ids = ids_of(prompt), all = ids_of(prompt + answer);
  REQUIRE(std::equal(prompt_ids.begin(), prompt_ids.end(), all.begin()));
  AnswerText text(tokenizer(), prompt_ids, stops);
  Shown shown;
  for (size_t i = prompt_ids.size(); i < all.size() && !text.is_stopped(); ++i) {
    shown.pieces.push_back(text.add(all[i]));
    ++shown.read;
  }
  shown.pieces.push_back(text.rest());
  for (const std::string& piece : shown.pieces) shown.text += piece;
  return shown;
}

}  // namespace

TEST_CASE("the pieces of an answer are its text, spaces and long answers too") {
  std::string longer;
  for (int i = 0; i < 60; ++i) longer += " the house of Johan is near the bridge " + std::to_string(i) + ".\n";
  for (const std::string& answer : {std::string(" near the bridge"), std::string("\n\n  near  it"), longer}) {
    CAPTURE(answer);
    CHECK(show("Question: Where?\nAnswer:", answer).text == answer);
  }
}

TEST_CASE("a character of several tokens comes as a whole") {
  const std::string answer = " \xE2\x82\xAC \xF0\x9F\x98\x80 \xE6\xBC\xA2!";  // €, an emoji, a CJK character
  const Shown shown = show("Answer:", answer);
  CHECK(shown.text == answer);
  for (const std::string& piece : shown.pieces) CHECK(piece.find("\xEF\xBF\xBD") == piece.npos);
}

TEST_CASE("bytes that are no character come as U+FFFD at the end") {
  const auto euro = ids_of("\xE2\x82\xAC");
  AnswerText text(tokenizer(), ids_of("Answer:"), {});
  std::string shown;
  for (size_t i = 0; i + 1 < euro.size(); ++i) shown += text.add(euro[i]);
  shown += text.rest();
  CHECK(shown.find("\xEF\xBF\xBD") != shown.npos);
}

TEST_CASE("a stop text ends the answer before itself, across tokens, and its beginning is held back") {
  const std::string answer = " near the bridge, near the well";
  const Shown stopped = show("Answer:", answer, {"the well", "zzz"});
  CHECK(stopped.text == " near the bridge, near ");
  for (const std::string& piece : stopped.pieces) CHECK(piece.find("the w") == piece.npos);
  CHECK(show("Answer:", answer, {"near"}).text == " ");
  CHECK(show("Answer:", answer, {"near"}).read < ids_of(answer).size());
  CHECK(show("Answer:", answer, {"the wells"}).text == answer);  // never came: shown at the end
  CHECK(show("Answer:", answer, {"well", "bridge"}).text == " near the ");
}
