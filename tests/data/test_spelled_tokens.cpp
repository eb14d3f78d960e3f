// Rows that spell special tokens out: counted as text, or read as the tokens, once each.

#include "lora/data/spelled_tokens.h"

#include "lora/data/load.h"
#include "lora/data/whole_sample.h"
#include "tests/catch.h"
#include "tests/data/chat_tokenizer.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using Names = std::vector<std::string>;

// BOS is not added.
ChatTokenizer chatml() { return ChatTokenizer({"<s>", "<|im_end|>", "<|im_start|>"}, false); }
// BOS is added, EOS is no end of turn.
ChatTokenizer with_bos() { return ChatTokenizer({"<s>", "</s>", "<|im_start|>", "<|im_end|>"}); }

std::string encoded(const Tokenizer& tokenizer, const Example& example, EncodeOptions options = {}) {
  options.max_length = 1000;
  options.allow_special_tokens = true;
  const EncodedExample result = encode_example(tokenizer, options, example);
  REQUIRE(result.samples.size() == 1);
  return shown(result.samples[0], tokenizer);
}

EncodeOptions rendered(const std::string& chat_template, const Tokenizer& tokenizer) {
  EncodeOptions options;
  options.chat = find_chat_template(chat_template, tokenizer);
  options.chat_for_prompts = true;
  return options;
}

TEST_CASE("names of special tokens in a text are found once each, in their order") {
  const ChatTokenizer tokenizer = with_bos();
  const SpelledTokens spelled(tokenizer);
  const auto names_in = [&](const std::string& text) {
    Names names;
    spelled.find(text, names);
    return names;
  };
  CHECK(names_in("<|im_start|>a<|im_end|><|im_start|></s>") == Names{"<|im_start|>", "<|im_end|>", "</s>"});
  CHECK(names_in("<|im_start a < s> im_end").empty());
  CHECK(names_in("").empty());
}

TEST_CASE("a text's own EOS is its end: it is written and trained once, and white space behind it is not trained") {
  const ChatTokenizer tokenizer = chatml();
  CHECK(encoded(tokenizer, {"a", "b"}) == "a⟦b«<|im_end|>»⟧");
  CHECK(encoded(tokenizer, {"a", "b<|im_end|>"}) == "a⟦b«<|im_end|>»⟧");
  CHECK(encoded(tokenizer, {"a", "b<|im_end|>\n "}) == "a⟦b«<|im_end|>»⟧\n ");
  CHECK(encoded(tokenizer, {"", "<|im_start|>b<|im_end|>\n"}) == "«<|im_start|>»⟦b«<|im_end|>»⟧\n");
  CHECK(encoded(tokenizer, {"", "a<|im_end|>b"}) == "a⟦«<|im_end|>»b«<|im_end|>»⟧");
  CHECK(encoded(tokenizer, {"a<|im_end|>", " b"}) == "a«<|im_end|>»⟦ b«<|im_end|>»⟧");
}

TEST_CASE("a text's own BOS is there once, whether the tokenizer adds one or not") {
  CHECK(encoded(chatml(), {"", "<s>b"}) == "«<s>»⟦b«<|im_end|>»⟧");
  CHECK(encoded(with_bos(), {"", "<s>b"}) == "«<s>»⟦b«</s>»⟧");
}

TEST_CASE("each part of a split text begins with the BOS that the text itself has") {
  const ChatTokenizer tokenizer = chatml();
  EncodeOptions options{.max_length = 3, .overlong = Overlong::kSplit, .allow_special_tokens = true};
  const EncodedExample result = encode_example(tokenizer, options, {"", "<s>abcd"});
  REQUIRE(result.samples.size() == 3);
  for (const Sample& part : result.samples) CHECK(tokenizer.piece(part.ids[0]) == "<s>");
}

TEST_CASE("an end that both the row and the template write is there once, also with white space between") {
  const ChatTokenizer tokenizer = chatml();
  const EncodeOptions options = rendered("chatml", tokenizer);
  const std::string whole = "«<|im_start|>»user\na«<|im_end|>»\n«<|im_start|>»assistant\n⟦b«<|im_end|>»⟧\n";
  CHECK(encoded(tokenizer, {"a", "b"}, options) == whole);
  CHECK(encoded(tokenizer, {"a", "b<|im_end|>"}, options) == whole);
  CHECK(encoded(tokenizer, {"a<|im_end|>\n", "b<|im_end|>\n"}, options) == whole);
}

TEST_CASE("an end that only the row writes ends the answer: EOS is not added to it") {
  const ChatTokenizer tokenizer = with_bos();
  const EncodeOptions bare = rendered("{% for m in messages %}{{ m.content }}{% endfor %}", tokenizer);
  CHECK(encoded(tokenizer, {"a", "b"}, bare) == "«<s>»a⟦b«</s>»⟧");
  CHECK(encoded(tokenizer, {"a", "b</s>"}, bare) == "«<s>»a⟦b«</s>»⟧");
  CHECK(encoded(tokenizer, {"<s>a", "b</s>\n"}, bare) == "«<s>»a⟦b«</s>»⟧");
}

TEST_CASE("a BOS that both the template and the row write is there once") {
  const ChatTokenizer tokenizer = with_bos();
  const EncodeOptions options =
      rendered("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}", tokenizer);
  CHECK(encoded(tokenizer, {"<s>a", "b"}, options) == "«<s>»a⟦b«</s>»⟧");
}

TEST_CASE("a prompt's special tokens are text, or tokens where that is asked for") {
  const ChatTokenizer tokenizer = with_bos();
  const std::vector<int64_t> text = encode_prompt(tokenizer, "<s>a<|im_end|>");
  CHECK(text.size() == 2 + std::string("<|im_end|>").size());
  CHECK(encode_prompt(tokenizer, "<s>a<|im_end|>", true) ==
        std::vector<int64_t>{*tokenizer.bos_id(), 'a', *tokenizer.id_of("<|im_end|>")});
}

// The rows' names are counted by load_dataset, and kept in the cache.
TEST_CASE("rows that spell special tokens out are counted by name, unless they become these tokens") {
  const TemporaryDirectory directory;
  ChatTokenizer tokenizer = with_bos();
  write_bytes(directory / "tokenizer_config.json", "{}");
  tokenizer.files_ = {directory / "tokenizer_config.json"};
  write_bytes(directory / "a.jsonl", R"({"text": "<s><|im_start|>user\nTime?<|im_end|>\n"}
{"text": "plain <s"}
{"text": "more</s> <|im_end|>"}
)");
  DataSource source;
  source.path = (directory / "a.jsonl").string();
  source.format = "text";
  LoadOptions options;
  options.cache.directory = directory / "cache";
  const std::vector<NamedRows> expected = {{"<|im_start|>", 1}, {"<|im_end|>", 2}, {"</s>", 1}};
  for (const char* found : {"kept in", "found in"}) {
    const LoadedDataset dataset = load_dataset({source}, tokenizer, options);
    CHECK_THAT(dataset.cache, Contains(found));
    CHECK((dataset.sources()[0].spelled == expected));
  }
  options.cache.directory.clear();
  options.data.allow_special_tokens = true;
  CHECK(load_dataset({source}, tokenizer, options).sources()[0].spelled.empty());
}

TEST_CASE("a template's names that are not tokens of the tokenizer are found") {
  const auto names = [](const std::string& chat_template, const ChatTokenizer& tokenizer) {
    return names_without_token(*find_chat_template(chat_template, tokenizer), tokenizer);
  };
  const ChatTokenizer llama({"<s>", "</s>"});
  CHECK(names("chatml", llama) == Names{"<|im_start|>", "<|im_end|>"});
  CHECK(names("chatml", chatml()).empty());
  CHECK(names("gemma", llama) == Names{"<start_of_turn>", "<end_of_turn>"});
  CHECK(names("llama-3", llama) == Names{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"});
  for (const char* plain : {"plain", "alpaca", "llama-2", "mistral"}) CHECK(names(plain, llama).empty());
  CHECK(names("{{ raise_exception('no') }}", llama).empty());

  DataConfig data;
  data.chat_template = "chatml";
  DataSource source;
  source.path = "a.jsonl";
  source.format = "chat";
  CHECK_THAT(templates_line(data, {source}, llama),
             Contains("chatml; its '<|im_start|>', '<|im_end|>' are not tokens of this tokenizer"));
  CHECK(templates_line(data, {source}, chatml()) == "chatml");
}

}  // namespace
}  // namespace lora::test
