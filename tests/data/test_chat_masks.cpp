// Conversations as samples: what is trained, read as text.

#include <nlohmann/json.hpp>
#include <set>

#include "lora/data/chat_template.h"
#include "lora/data/whole_sample.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/chat_tokenizer.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

const ChatTokenizer& tokenizer() {
  static const ChatTokenizer made({"<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>",
                                   "<|end_header_id|>", "<|end|>", "<|user|>", "<|assistant|>", "<start_of_turn>",
                                   "<end_of_turn>"});
  return made;
}

Chat conversation(const std::vector<std::pair<std::string, std::string>>& turns) {
  Chat chat;
  for (const auto& [role, content] : turns) chat.messages.push_back(chat_message(role, content));
  return chat;
}

Chat two_turns() { return conversation({{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}}); }

EncodedExample encode(const Chat& chat, const std::string& wanted, TrainOn train_on = TrainOn::kAssistant,
                      const Tokenizer& with = tokenizer(), int64_t max_length = 10'000,
                      Overlong overlong = Overlong::kTruncate) {
  EncodeOptions options{.max_length = max_length, .train_on = train_on, .overlong = overlong};
  options.chat = find_chat_template(wanted, with);
  Example example;
  example.chat = std::make_shared<const Chat>(chat);
  return encode_example(with, options, example);
}

std::string masks(const Chat& chat, const std::string& wanted, TrainOn train_on = TrainOn::kAssistant,
                  const Tokenizer& with = tokenizer()) {
  const EncodedExample encoded = encode(chat, wanted, train_on, with);
  return encoded.samples.empty() ? "nothing" : shown(encoded.samples.front(), with);
}

TEST_CASE("every built-in template trains the answers and what ends them") {
  const auto expect = [](const std::string& name, const std::string& wanted) {
    INFO(name);
    CHECK(masks(two_turns(), name) == wanted);
  };
  expect("chatml",
         "«<s>»«<|im_start|>»user\na«<|im_end|>»\n«<|im_start|>»assistant\n⟦b«<|im_end|>»⟧\n"
         "«<|im_start|>»user\nc«<|im_end|>»\n«<|im_start|>»assistant\n⟦d«<|im_end|>»⟧\n");
  expect("llama-3",
         "«<s>»«<|start_header_id|>»user«<|end_header_id|>»\n\na«<|eot_id|>»«<|start_header_id|>»assistant"
         "«<|end_header_id|>»\n\n⟦b«<|eot_id|>»⟧«<|start_header_id|>»user«<|end_header_id|>»\n\nc«<|eot_id|>»"
         "«<|start_header_id|>»assistant«<|end_header_id|>»\n\n⟦d«<|eot_id|>»⟧");
  expect("llama-2", "«<s>»[INST] a [/INST]⟦ b «</s>»⟧«<s>»[INST] c [/INST]⟦ d «</s>»⟧");
  expect("mistral", "«<s>»[INST] a [/INST]⟦ b«</s>»⟧[INST] c [/INST]⟦ d«</s>»⟧");
  expect("zephyr",
         "«<s>»«<|user|>»\na«</s>»\n«<|assistant|>»\n⟦b«</s>»⟧\n«<|user|>»\nc«</s>»\n«<|assistant|>»\n⟦d«</s>»⟧\n");
  expect("phi-3",
         "«<s>»«<|user|>»\na«<|end|>»\n«<|assistant|>»\n⟦b«<|end|>»⟧\n«<|user|>»\nc«<|end|>»\n«<|assistant|>»\n"
         "⟦d«<|end|>»\n«</s>»⟧");
  expect("gemma",
         "«<s>»«<start_of_turn>»user\na«<end_of_turn>»\n«<start_of_turn>»model\n⟦b«<end_of_turn>»⟧\n"
         "«<start_of_turn>»user\nc«<end_of_turn>»\n«<start_of_turn>»model\n⟦d«<end_of_turn>»⟧\n");
  expect("plain", "«<s>»### User:\na\n\n### Assistant:\n⟦b«</s>»⟧\n\n### User:\nc\n\n### Assistant:\n⟦d«</s>»⟧\n\n");
  expect("alpaca",
         "«<s>»Below is an instruction that describes a task. Write a response that appropriately completes the "
         "request.\n\n### Instruction:\na\n\n### Response:\n⟦b«</s>»⟧\n\n### Instruction:\nc\n\n### Response:\n"
         "⟦d«</s>»⟧\n\n");
}

TEST_CASE("train_on takes all, the answers or the last answer, and a weight of 0 takes one out") {
  CHECK(masks(two_turns(), "mistral", TrainOn::kLastTurn) == "«<s>»[INST] a [/INST] b«</s>»[INST] c [/INST]⟦ d«</s>»⟧");
  CHECK(masks(two_turns(), "mistral", TrainOn::kAll) == "«<s>»⟦[INST] a [/INST] b«</s>»[INST] c [/INST] d«</s>»⟧");
  Chat chat = two_turns();
  chat.messages[3].trained = false;
  CHECK(masks(chat, "mistral") == "«<s>»[INST] a [/INST]⟦ b«</s>»⟧[INST] c [/INST] d«</s>»");
  CHECK(masks(chat, "mistral", TrainOn::kLastTurn) == "nothing");
}

TEST_CASE("what a weight of 0 marks is not trained by train_on: all either, whatever the role") {
  const auto read = [](const std::string& messages) {
    return Chat{read_messages(nlohmann::ordered_json::parse(messages), "row")};
  };
  const Chat answer = read(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0},
    {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}])");
  CHECK(masks(answer, "mistral", TrainOn::kAll) == "«<s>»⟦[INST] a [/INST]⟧ b«</s>»⟦[INST] c [/INST] d«</s>»⟧");
  const Chat user =
      read(R"([{"role": "user", "content": "a", "train": false}, {"role": "assistant", "content": "b"}])");
  CHECK(masks(user, "mistral", TrainOn::kAll) == "«<s>»⟦[INST] ⟧a⟦ [/INST] b«</s>»⟧");
  const Chat last = read(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}])");
  CHECK(masks(last, "mistral", TrainOn::kAll) == "«<s>»⟦[INST] a [/INST]⟧ b«</s>»");
  CHECK(encode(last, "mistral", TrainOn::kAll).counts.answers == 0);
}

// A tokenizer whose special tokens take the spaces before them, as `lstrip` does.
class StrippingTokenizer : public ChatTokenizer {
 public:
  using ChatTokenizer::ChatTokenizer;
  std::vector<Token> encode(std::string_view text, std::span<const TextRange> special = {}) const override {
    std::vector<Token> stripped;
    for (Token token : ChatTokenizer::encode(text, special)) {
      while (is_special(token.id) && !stripped.empty() && stripped.back().id == ' ') {
        token.begin = stripped.back().begin;
        stripped.pop_back();
      }
      stripped.push_back(token);
    }
    return stripped;
  }
};

TEST_CASE("an end of turn that takes the spaces before it is the answer's one end") {
  const StrippingTokenizer stripping({"", "<|im_end|>", "<|im_start|>"}, false);
  const Chat chat = conversation({{"user", "a"}, {"assistant", "b  "}});
  CHECK(masks(chat, "chatml", TrainOn::kAssistant, stripping) ==
        "«<|im_start|>»user\na«<|im_end|>»\n«<|im_start|>»assistant\n⟦b«<|im_end|>»⟧\n");
  CHECK(encode(chat, "chatml", TrainOn::kAssistant, stripping).counts.ended == 1);
}

TEST_CASE("an answer of which the end alone is trained is counted") {
  CHECK(encode(two_turns(), "chatml").counts.only_end == 0);
  CHECK(encode(conversation({{"user", "a"}, {"assistant", ""}}), "chatml").counts.only_end == 1);
  EncodeOptions options{.max_length = 100};
  CHECK(encode_example(tokenizer(), options, {"a", "b"}).counts.only_end == 0);
  CHECK(encode_example(tokenizer(), options, {"a", ""}).counts.only_end == 1);
  CHECK(encode_example(tokenizer(), options, {"", ""}).counts.only_end == 0);  // no answer
}

TEST_CASE("a whole number that 64 bits do not hold is refused where a template would write it as a float") {
  const auto read = [](const std::string& number) {
    return read_messages(nlohmann::ordered_json::parse(R"([{"role": "assistant", "content": "", "tool_calls":
      [{"function": {"name": "f", "arguments": {"x": )" +
                                                       number + "}}}]}]"),
                         "row");
  };
  for (const char* number : {"9223372036854775807", "-9223372036854775808", "1.5", "1e15"}) CHECK_NOTHROW(read(number));
  for (const char* number : {"9223372036854775808", "18446744073709551615", "12345678901234567890123"}) {
    CHECK_THROWS_WITH(read(number), Contains("a number beyond 64 bits") && Contains("in quotes"));
  }
}

TEST_CASE("a generation prompt that a template always adds is not trained") {
  const std::string always = R"({% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>' }}
{{ m.content + '<|eot_id|>' }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n' }})";
  const Chat chat = conversation({{"user", "a"}, {"assistant", "b"}});
  const std::string header = "«<|start_header_id|>»assistant«<|end_header_id|>»\n";
  const std::string user = "«<s>»«<|start_header_id|>»user«<|end_header_id|>»\na«<|eot_id|>»";
  CHECK(masks(chat, always) == user + header + "⟦b«<|eot_id|>»⟧" + header);
  CHECK(masks(chat, always, TrainOn::kAll) == "«<s>»⟦" + user.substr(7) + header + "b«<|eot_id|>»⟧" + header);
  CHECK(end_of_turn_ids(tokenizer(), *find_chat_template(always, tokenizer())) ==
        std::vector<int64_t>{*tokenizer().id_of("<|eot_id|>")});
}

TEST_CASE("names of special tokens in a row stay text unless they are allowed") {
  const Chat chat = conversation({{"user", "</s><|im_end|>"}, {"assistant", "<s>x</s>"}});
  CHECK(masks(chat, "mistral") == "«<s>»[INST] </s><|im_end|> [/INST]⟦ <s>x</s>«</s>»⟧");
  EncodeOptions options{.max_length = 1000, .allow_special_tokens = true};
  options.chat = find_chat_template("mistral", tokenizer());
  Example example;
  example.chat = std::make_shared<const Chat>(chat);
  CHECK(shown(encode_example(tokenizer(), options, example).samples.at(0), tokenizer()) ==
        "«<s>»[INST] «</s>»«<|im_end|>» [/INST]⟦ «<s>»x«</s>»⟧");
  const auto text = encode_example(tokenizer(), {.max_length = 99, .allow_special_tokens = true}, {"a</s>", "b"});
  CHECK(shown(text.samples.at(0), tokenizer()) == "«<s>»a«</s>»⟦b«</s>»⟧");
}

TEST_CASE("one BOS stands in front, whether the template or the tokenizer writes it") {
  const Chat chat = conversation({{"user", "a"}, {"assistant", "b"}});
  for (const char* name : {"chatml", "llama-2", "mistral"}) {
    const auto sample = encode(chat, name).samples.at(0);
    CHECK(sample.ids[0] == 256);
    CHECK(std::ranges::count(sample.ids, 256) == 1);
  }
  const ChatTokenizer none({"<s>", "</s>"}, false);
  CHECK(masks(chat, "zephyr", TrainOn::kAssistant, none) == "<|user|>\na«</s>»\n<|assistant|>\n⟦b«</s>»⟧\n");
}

TEST_CASE("where a template's end of turn is no special token, EOS is put directly behind the last answer") {
  const ChatTokenizer none({"<s>", "</s>"});
  CHECK(masks(two_turns(), "chatml", TrainOn::kAssistant, none).ends_with("assistant\n⟦d<|im_end|>«</s>»⟧"));
  CHECK(encode(two_turns(), "chatml", TrainOn::kAssistant, none).counts.ended == 1);
  const ChatTokenizer endless({"", ""});
  const auto encoded = encode(two_turns(), "chatml", TrainOn::kAssistant, endless);
  CHECK(encoded.counts.answers == 1);
  CHECK(encoded.counts.ended == 0);
}

TEST_CASE("auto is chatml where the tokenizer has its tokens, else plain, and says so") {
  CHECK_THAT(find_chat_template("auto", tokenizer())->name(), Contains("chatml: the model has none"));
  CHECK_THAT(find_chat_template("auto", ChatTokenizer({"<s>", "</s>"}))->name(), Contains("plain: the model has none"));
  CHECK_THROWS_AS(find_chat_template("model", tokenizer()), ModelError);
  CHECK_THROWS_WITH(find_chat_template("chatlm", tokenizer()), Contains("did you mean 'chatml'"));
  CHECK_THROWS_WITH(find_chat_template("{% if %}", tokenizer()), Contains("the recipe's: line 1"));
}

TEST_CASE("the model's own template is found in each of the places where it may be") {
  const TemporaryDirectory directory;
  ChatTokenizer own({"<s>", "</s>"});
  own.files_ = {directory / "tokenizer.model"};
  const Chat chat = conversation({{"user", "a"}, {"assistant", "b"}});
  Chat with_tools = chat;
  with_tools.tools = nlohmann::ordered_json::array({{{"name", "f"}}});
  write_bytes(directory / "tokenizer_config.json", R"({"chat_template": "one {{ messages[0].content }}"})");
  CHECK_THAT(find_chat_template("auto", own)->name(), Contains("the model's own, of tokenizer_config.json"));
  CHECK(find_chat_template("model", own)->render(chat, 2, false).bytes() == "one a");
  write_bytes(directory / "tokenizer_config.json",
              R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})");
  CHECK(find_chat_template("auto", own)->render(chat, 2, false).bytes() == "d");
  CHECK(find_chat_template("auto", own)->render(with_tools, 2, false).bytes() == "t");
  write_bytes(directory / "chat_template.jinja", "file\n");
  CHECK(find_chat_template("auto", own)->render(chat, 2, false).bytes() == "file");
  std::filesystem::remove(directory / "chat_template.jinja");
  write_bytes(directory / "tokenizer_config.json", R"({"chat_template": 3})");
  CHECK_THROWS_WITH(find_chat_template("auto", own), Contains("'chat_template' is number"));
}

// Templates with the habits of real ones.
TEST_CASE("answers are found where a template moves the system message into the last question") {
  const std::string moves = R"({{ bos_token }}{% for m in messages %}{% if m.role == 'user' -%}
[INST] {% if loop.last or messages[loop.index0 + 1:] | length == 1 %}{{ messages[0].content ~ '|' }}{% endif -%}
{{ m.content }}[/INST]{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %})";
  Chat chat = two_turns();
  chat.messages.insert(chat.messages.begin(), chat_message("system", "S"));
  CHECK(masks(chat, moves) == "«<s>»[INST] a[/INST]⟦ b«</s>»⟧[INST] S|c[/INST]⟦ d«</s>»⟧");
}

TEST_CASE("answers are found where a template drops old reasoning and begins answers with <think>") {
  const std::string drops = R"({% for m in messages %}<|im_start|>{{ m.role }}
{% set words = m.content.split('</think>')[-1].lstrip('\n') if m.role == 'assistant' and not loop.last else m.content -%}
{{ words | trim }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
<think>
{% endif %})";
  const Chat chat = conversation(
      {{"user", "a"}, {"assistant", "<think>\nx\n</think>\n\nb"}, {"user", "c"}, {"assistant", "<think>\ny</think>d"}});
  CHECK(masks(chat, drops) ==
        "«<s>»«<|im_start|>»user\na«<|im_end|>»\n«<|im_start|>»assistant\n⟦b«<|im_end|>»⟧\n"
        "«<|im_start|>»user\nc«<|im_end|>»\n«<|im_start|>»assistant\n⟦<think>\ny</think>d«<|im_end|>»⟧\n");
}

TEST_CASE("a template's own marks decide, and have to fit the conversation") {
  const std::string marks = R"({% for m in messages %}{% if m.role == 'assistant' -%}
A:{% generation %}{{ m.content + eos_token }}
{% endgeneration %}{% else %}U:{{ m.content }}
{% endif %}{% endfor %})";
  CHECK(masks(two_turns(), marks) == "«<s>»U:a\nA:⟦b«</s>»⟧\nU:c\nA:⟦d«</s>»⟧\n");
  const std::string once = "{% for m in messages %}{{ m.content }}{% endfor %}{% generation %}x{% endgeneration %}";
  CHECK_THROWS_WITH(masks(two_turns(), once), Contains("messages[1]: the chat template (the recipe's) marks nothing"));
  const std::string twice = R"({% for m in messages %}{% if m.role == 'assistant' -%}
A:{% generation %}{{ m.content }}{% endgeneration %}|{% generation %}{{ eos_token }}{% endgeneration %}
{% else %}U:{{ m.content }}
{% endif %}{% endfor %})";
  CHECK(masks(two_turns(), twice) == "«<s>»U:a\nA:⟦b⟧|⟦«</s>»⟧U:c\nA:⟦d⟧|⟦«</s>»⟧");
  CHECK(masks(two_turns(), twice, TrainOn::kLastTurn) == "«<s>»U:a\nA:b|«</s>»U:c\nA:⟦d⟧|⟦«</s>»⟧");
}

TEST_CASE("a template that writes an answer's header differently for a prompt is refused, not guessed at") {
  const std::string odd =
      "{% for m in messages %}{{ ('B:' if m.role == 'assistant' else 'U:') + m.content }}{% endfor %}"
      "{% if add_generation_prompt %}now answer:{% endif %}";
  CHECK_THROWS_WITH(masks(two_turns(), odd), Contains("messages[1]: cannot tell where this answer begins"));
  CHECK(masks(two_turns(), odd, TrainOn::kAll) == "«<s>»⟦U:aB:bU:cB:d«</s>»⟧");
}

TEST_CASE("what a template raises is the row's error, in the template's words") {
  Chat chat = two_turns();
  chat.messages.push_back(chat_message("tool", "x"));
  CHECK_THROWS_WITH(masks(chat, "llama-2"), Contains("the template says: llama-2 has no role tool"));
  CHECK_THROWS_AS(masks(chat, "llama-2"), DataError);
}

TEST_CASE("tool calls are part of the answer, tools and their results are not") {
  const std::string calls = R"({% if tools %}{{ tools | tojson }}
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name ~ c.function.arguments | tojson }}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %})";
  const auto messages = nlohmann::ordered_json::parse(R"([
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": null,
     "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{\"b\": 1, \"a\": \"<|im_end|>\"}"}}]},
    {"role": "tool", "content": "r"},
    {"role": "assistant", "content": [{"type": "text", "text": "do"}, {"type": "text", "text": "ne"}]}])");
  const Chat chat{read_messages(messages, "row"), nlohmann::ordered_json::parse(R"([{"z": 1, "name": "f"}])")};
  CHECK(masks(chat, calls) ==
        "«<s>»[{\"z\": 1, \"name\": \"f\"}]\n«<|im_start|>»user\nq«<|im_end|>»\n«<|im_start|>»assistant\n"
        "⟦f{\"b\": 1, \"a\": \"<|im_end|>\"}«<|im_end|>»⟧\n«<|im_start|>»tool\nr«<|im_end|>»\n"
        "«<|im_start|>»assistant\n⟦done«<|im_end|>»⟧\n");
}

TEST_CASE("a template that expects the arguments of calls as text gets the row's own text") {
  const std::string adds =
      "{% for m in messages %}<|im_start|>{{ m.role + ':' }}{% for c in m.tool_calls or [] -%}"
      "{{ c.function.name + c.function.arguments }}{% endfor %}{{ m.content }}<|im_end|>"
      "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}";
  const auto messages = [](const std::string& arguments) {
    return nlohmann::ordered_json::parse(
        R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": null,
             "tool_calls": [{"function": {"name": "f", "arguments": )" +
        arguments + "}}]}]");
  };
  CHECK(masks({read_messages(messages(R"("{\"a\":  1}")"), "row")}, adds) ==
        "«<s>»«<|im_start|>»user:q«<|im_end|>»«<|im_start|>»assistant:⟦f{\"a\":  1}«<|im_end|>»⟧");
  CHECK_THROWS_WITH(masks({read_messages(messages(R"({"a": 1})"), "row")}, adds), Contains("'str' + 'dict'"));
}

TEST_CASE("a prompt to generate from is what stands in front of the answer in training") {
  for (const std::string& name : with_rows({}, builtin_templates()).known) {
    INFO(name);
    const Chat chat =
        conversation({{"system", "s"}, {"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}});
    const auto chat_template = find_chat_template(name, tokenizer());
    for (const size_t count : {size_t{2}, size_t{4}}) {
      Chat upto = chat;
      upto.messages.resize(count + 1);
      const Sample sample = encode(upto, name, TrainOn::kLastTurn).samples.at(0);
      const auto prompt = encode_chat_prompt(tokenizer(), *chat_template, chat, count, kTrainingDate);
      const auto first = std::ranges::find(sample.supervised, 1) - sample.supervised.begin();
      REQUIRE(static_cast<size_t>(first) == prompt.size());
      CHECK(std::equal(prompt.begin(), prompt.end(), sample.ids.begin()));
    }
  }
}

TEST_CASE("turns one after the other are the whole conversation") {
  for (const std::string& name : with_rows({}, builtin_templates()).known) {
    INFO(name);
    const auto chat_template = find_chat_template(name, tokenizer());
    const Chat chat = two_turns();
    const std::string whole = chat_template->render(chat, 4, false).bytes();
    CHECK(whole.starts_with(chat_template->render(chat, 1, true).bytes()));
    CHECK(whole.starts_with(chat_template->render(chat, 3, true).bytes()));
    if (name != "phi-3") CHECK(whole.starts_with(chat_template->render(chat, 2, false).bytes()));
  }
}

TEST_CASE("the special tokens that end a template's turns are known, for generation") {
  const auto ends = [](const std::string& name) {
    return end_of_turn_ids(tokenizer(), *find_chat_template(name, tokenizer()));
  };
  CHECK(ends("chatml") == std::vector<int64_t>{*tokenizer().id_of("<|im_end|>")});
  CHECK(ends("mistral") == std::vector<int64_t>{*tokenizer().eos_id()});
  CHECK(ends("gemma") == std::vector<int64_t>{*tokenizer().id_of("<end_of_turn>")});
}

TEST_CASE("prompts and alpaca rows are rendered as conversations where a template asks for it") {
  EncodeOptions options{.max_length = 1000, .chat_for_prompts = true};
  options.chat = find_chat_template("mistral", tokenizer());
  Example alpaca{"Below is … ### Response:\n", "b"};
  alpaca.user = "a";
  CHECK(shown(encode_example(tokenizer(), options, alpaca).samples.at(0), tokenizer()) ==
        "«<s>»[INST] a [/INST]⟦ b«</s>»⟧");
  CHECK(shown(encode_example(tokenizer(), options, {"p", "c"}).samples.at(0), tokenizer()) ==
        "«<s>»[INST] p [/INST]⟦ c«</s>»⟧");
  options.chat_for_prompts = false;
  CHECK(shown(encode_example(tokenizer(), options, {"p", "c"}).samples.at(0), tokenizer()) == "«<s>»p⟦c«</s>»⟧");
}

TEST_CASE("a conversation that is too long is cut or split like any sample") {
  const auto cut = encode(two_turns(), "mistral", TrainOn::kAssistant, tokenizer(), 20);
  CHECK(shown(cut.samples.at(0), tokenizer()) == "«<s>»[INST] a [/INST]⟦ b«</s>»⟧");
  CHECK(cut.counts == SourceCounts{.cut = 1, .answers = 1, .ended = 1});
  const auto split = encode(two_turns(), "mistral", TrainOn::kAssistant, tokenizer(), 20, Overlong::kSplit);
  REQUIRE(split.samples.size() == 2);
  CHECK(shown(split.samples[1], tokenizer()) == "«<s>»[INST] c [/INST]⟦ d«</s>»⟧");
}

}  // namespace
}  // namespace lora::test
