// Rows as other tools write them: what is read of them, what is trained, and that the rest is said. Expected texts and
// masks are those of the tool that is named beside them.

#include <nlohmann/json.hpp>

#include "lora/data/load.h"
#include "lora/data/whole_sample.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/chat_tokenizer.h"
#include "tests/data/data_files.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

const ChatTokenizer& chat_tokenizer() {
  static const ChatTokenizer made({"<s>", "</s>", "<|im_start|>", "<|im_end|>"});
  return made;
}

struct Loaded {
  std::vector<std::string> samples;
  std::string format, ground, unread;
  SourceCounts counts;
};

// The rows of one source as samples; `unread` as "id 2, more 1".
Loaded load_rows(const std::string& lines, DataSource source, DataConfig data = {}) {
  const DataFiles files;
  source.path = files.add("rows.jsonl", lines, "").path;
  const LoadedDataset dataset = load_dataset({source}, chat_tokenizer(), {{.max_length = 2000, .data = data}});
  Loaded loaded;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const SampleView view = dataset[i];
    Sample sample;
    sample.ids.assign(view.ids.begin(), view.ids.end());
    sample.supervised.assign(view.supervised.begin(), view.supervised.end());
    loaded.samples.push_back(shown(sample, chat_tokenizer()));
  }
  const SourcePart& part = dataset.sources().at(0);
  loaded.format = part.format;
  loaded.ground = part.ground;
  loaded.counts = part.counts;
  for (const NamedRows& column : part.unread) {
    loaded.unread += (loaded.unread.empty() ? "" : ", ") + column.name + " " + std::to_string(column.rows);
  }
  return loaded;
}

DataSource of_format(const std::string& format, const std::map<std::string, std::string>& fields = {}) {
  return {.path = "", .format = format, .fields = fields};
}

DataSource chosen_of(const std::string& format) {
  DataSource source = of_format(format);
  source.train_on = TrainOn::kChosen;
  return source;
}

std::string one(const std::string& row, const DataSource& source, const DataConfig& data = {}) {
  return load_rows(row, source, data).samples.at(0);
}

DataConfig with_template(const std::string& name) {
  DataConfig data;
  data.chat_template = name;
  return data;
}

// axolotl's alpaca_w_system puts a row's system text where Alpaca's first sentences stand.
TEST_CASE("alpaca's system column replaces the first sentences, and is the template's system message") {
  const std::string row = R"({"instruction": "i", "input": "", "output": "o", "system": "S"})";
  CHECK(one(row, of_format("alpaca")) == "«<s>»S\n\n### Instruction:\ni\n\n### Response:\n⟦o«</s>»⟧");
  CHECK(one(R"({"instruction": "i", "input": "x", "output": "o", "system_prompt": "S"})", of_format("alpaca")) ==
        "«<s>»S\n\n### Instruction:\ni\n\n### Input:\nx\n\n### Response:\n⟦o«</s>»⟧");
  CHECK(one(row, of_format("alpaca"), with_template("chatml")) ==
        "«<s>»«<|im_start|>»system\nS«<|im_end|>»\n«<|im_start|>»user\ni«<|im_end|>»\n"
        "«<|im_start|>»assistant\n⟦o«<|im_end|>»⟧\n");
  CHECK_THROWS_WITH(
      one(R"({"instruction": "i", "output": "o", "system": "S", "system_prompt": "T"})", of_format("alpaca")),
      Contains("rows.jsonl:1: 'system' and 'system_prompt' differ"));
}

// LLaMA-Factory: "the responses in history will also be learned by the model".
TEST_CASE("alpaca's history is earlier turns, whose answers are trained too") {
  const std::string row =
      R"({"instruction": "i", "input": "x", "output": "o", "system": "", "history": [["a", "b"], ["c", "d"]]})";
  CHECK(one(row, of_format("alpaca")) ==
        "«<s>»Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\na\n\n### Response:\n⟦b«</s>»⟧\n\n### Instruction:\nc\n\n### Response:\n⟦d«</s>»⟧"
        "\n\n### Instruction:\ni\n\nx\n\n### Response:\n⟦o«</s>»⟧\n\n");
  CHECK(one(row, of_format("alpaca"), with_template("chatml"))
            .ends_with("assistant\n⟦b«<|im_end|>»⟧\n«<|im_start|>»user\nc«<|im_end|>»\n«<|im_start|>»assistant\n⟦d«<|"
                       "im_end|>»⟧\n"
                       "«<|im_start|>»user\ni\n\nx«<|im_end|>»\n«<|im_start|>»assistant\n⟦o«<|im_end|>»⟧\n"));
  CHECK(one(R"({"instruction": "i", "output": "o", "system": "S", "history": [["a", "b"]]})", of_format("alpaca"))
            .starts_with("«<s>»S\n\n### Instruction:\na"));
  for (const char* none : {"[]", "null", "\"\""}) {
    CHECK(one(std::string(R"({"instruction": "i", "output": "o", "history": )") + none + "}", of_format("alpaca"))
              .ends_with("request.\n\n### Instruction:\ni\n\n### Response:\n⟦o«</s>»⟧"));
  }
  CHECK_THROWS_WITH(one(R"({"instruction": "i", "output": "o", "history": [["a"]]})", of_format("alpaca")),
                    Contains("rows.jsonl:1: 'history' holds [\"a\"], expected pairs of texts"));
}

TEST_CASE("a system column stands beside messages and conversations, once") {
  const std::string expected =
      "«<s>»«<|im_start|>»system\nS«<|im_end|>»\n«<|im_start|>»user\nq«<|im_end|>»\n«<|im_start|>»assistant\n"
      "⟦a«<|im_end|>»⟧\n";
  const std::string turns = R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])";
  CHECK(one(R"({"system": "S", "messages": )" + turns + "}", of_format("chat")) == expected);
  CHECK(one(R"({"system_prompt": "S", "conversations": )" + turns + "}", of_format("sharegpt")) == expected);
  const std::string inside = R"("messages": [{"role": "system", "content": "S"}, )" + turns.substr(1) + "}";
  CHECK(one(R"({"system": "S", )" + inside, of_format("chat")) == expected);
  CHECK_THROWS_WITH(one(R"({"system": "T", )" + inside, of_format("chat")),
                    Contains("rows.jsonl:1: a 'system' beside"));
}

TEST_CASE("OpenOrca's system_prompt is read with its question and response") {
  const std::string row = R"({"id": "niv.1", "system_prompt": "S", "question": "q", "response": "r"})";
  const DataSource source = of_format("completion", {{"prompt", "question"}, {"completion", "response"}});
  CHECK(one(row, source) == "«<s>»S\n\nq⟦r«</s>»⟧");
  CHECK(one(row, source, with_template("chatml")) ==
        "«<s>»«<|im_start|>»system\nS«<|im_end|>»\n«<|im_start|>»user\nq«<|im_end|>»\n«<|im_start|>»assistant\n"
        "⟦r«<|im_end|>»⟧\n");
  CHECK(load_rows(row, source).unread == "id 1");
  const DataSource alpaca = of_format("alpaca", {{"instruction", "question"}, {"output", "response"}});
  CHECK(one(row, alpaca) == "«<s>»S\n\n### Instruction:\nq\n\n### Response:\n⟦r«</s>»⟧");
}

TEST_CASE("columns that hold something and are not read are counted by name, and what is empty is not") {
  const Loaded loaded = load_rows(
      "{\"prompt\": \"p\", \"completion\": \"c\", \"id\": 1, \"input\": \"\", \"tags\": [], \"note\": null}\n"
      "{\"prompt\": \"p\", \"completion\": \"c\", \"id\": 0, \"note\": \"n\"}\n",
      of_format("completion"));
  CHECK(loaded.unread == "id 2, note 1");
  // UltraChat's prompt is in its messages as well.
  CHECK(load_rows(
            R"({"prompt": "q", "prompt_id": "1", "messages": [{"role": "user", "content": "q"}, {"role": "assistant",)"
            R"("content": "a"}]})",
            of_format("chat"))
            .unread == "prompt 1, prompt_id 1");
  CHECK(load_rows(R"({"prompt": "p", "input": "i", "chosen": "c", "rejected": "r", "score_chosen": 9})",
                  chosen_of("preference"))
            .unread == "score_chosen 1");
}

TEST_CASE("a dotted field leads into a column, and the rest of that column counts as not read") {
  const std::string row = R"({"translation": {"en": "yes", "fr": "oui", "de": "ja"}})";
  const DataSource source = of_format("completion", {{"prompt", "translation.en"}, {"completion", "translation.fr"}});
  CHECK(one(row, source) == "«<s>»yes⟦oui«</s>»⟧");
  CHECK(load_rows(row, source).unread == "translation.de 1");
  DataSource recognised = source;
  recognised.format = "auto";
  CHECK(load_rows(row, recognised).ground == "its columns are 'translation.en', 'translation.fr'");
  // SQuAD's answers.
  CHECK(one(R"({"question": "q", "answers": {"text": ["a", "b"], "answer_start": [3, 4]}})",
            of_format("completion", {{"prompt", "question"}, {"completion", "answers.text.0"}})) == "«<s>»q⟦a«</s>»⟧");
  // A column whose name has a dot comes first.
  CHECK(one(R"({"a.b": "p", "a": {"b": "x"}, "completion": "c"})", of_format("completion", {{"prompt", "a.b"}})) ==
        "«<s>»p⟦c«</s>»⟧");
  for (const char* missing : {"translation.es", "translation.en.x", "translation.0", "translation.", "x.y"}) {
    CHECK_THROWS_WITH(one(row, of_format("text", {{"text", missing}})),
                      Contains("no column '" + std::string(missing) + "'"));
  }
}

TEST_CASE("rows with KTO's label are refused, or by train_on: chosen those with true are trained") {
  const std::string rows =
      "{\"prompt\": \"p\", \"completion\": \"good\", \"label\": true}\n"
      "{\"prompt\": \"p\", \"completion\": \"bad\", \"label\": false}\n";
  CHECK_THROWS_WITH(load_rows(rows, of_format("completion")),
                    Contains("rows.jsonl:1: 'label' is true, as in data for KTO") && Contains("train_on: chosen"));
  const DataSource chosen = chosen_of("completion");
  const Loaded loaded = load_rows(rows, chosen);
  CHECK(loaded.samples == std::vector<std::string>{"«<s>»p⟦good«</s>»⟧"});
  CHECK(loaded.counts.rows == 2);
  CHECK(loaded.counts.untrained == 1);
  CHECK_THROWS_WITH(load_rows(R"({"prompt": "p", "completion": "c"})", chosen),
                    Contains("rows.jsonl:1: neither 'label' nor 'kto_tag' is true or false"));
  // pandas writes False; LLaMA-Factory's column is kto_tag, beside messages too.
  CHECK_THROWS_WITH(load_rows(R"({"instruction": "p", "output": "c", "label": "False"})", of_format("alpaca")),
                    Contains("'label' is false"));
  CHECK_THROWS_WITH(
      load_rows(R"({"kto_tag": false, "messages": [{"role": "user", "content": "q"}, {"role": "assistant",)"
                R"("content": "a"}]})",
                of_format("auto")),
      Contains("'kto_tag' is false"));
  // Another label is a column that is not read.
  CHECK(load_rows(R"({"prompt": "p", "completion": "c", "label": "sports"})", of_format("completion")).unread ==
        "label 1");
}

std::string answers_marked(const std::string& mark) {
  return one(R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", )" + mark +
                 R"(}, {"role": "user", "content": "r"}, {"role": "assistant", "content": "b"}]})",
             of_format("chat"), with_template("plain"));
}

TEST_CASE("marks of other tools keep an answer out of the loss") {
  const std::string masked = answers_marked(R"("weight": 0)");
  CHECK(masked == "«<s>»### User:\nq\n\n### Assistant:\na«</s>»\n\n### User:\nr\n\n### Assistant:\n⟦b«</s>»⟧\n\n");
  for (const char* mark : {R"("train": false)", R"("training": false)", R"("loss_mask": 0)", R"("loss": false)",
                           R"("loss_scale": 0.0)", R"("trainable": false)", R"("weight": 1, "train": false)"}) {
    INFO(mark);
    CHECK(answers_marked(mark) == masked);
  }
  CHECK(answers_marked(R"("training": true, "loss_mask": 1)") != masked);
  CHECK(answers_marked(R"("train_detail": null, "training": null)") != masked);
}

TEST_CASE("a mark that cannot be followed is refused") {
  for (const char* mark : {R"("train_detail": [{"begin_offset": 0, "end_offset": 1, "train": false}])",
                           R"("mask": "User")", R"("ignore": true)"}) {
    INFO(mark);
    CHECK_THROWS_WITH(answers_marked(mark), Contains("rows.jsonl:1: messages[1]: '") &&
                                                Contains("in a way that is not followed; expected 'weight': 0"));
  }
  CHECK_THROWS_WITH(answers_marked(R"("loss_scale": 0.5)"), Contains("'loss_scale' is 0.5, expected 0 or 1"));
  const auto marked = [](const std::string& first, const std::string& second) {
    return one(R"({"messages": [{"role": "user", "content": "q", )" + first +
                   R"(}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r", )" + second +
                   R"(}, {"role": "assistant", "content": "b"}]})",
               of_format("chat"), with_template("plain"));
  };
  CHECK_THROWS_WITH(marked(R"("train": false)", R"("train": true)"), Contains("one message of role user is marked"));
  CHECK(marked(R"("train": true)", R"("train": true)").ends_with("⟦b«</s>»⟧\n\n"));
}

// As SFTTrainer of TRL 1.16 masks them with completion_only_loss, apart from the line end behind <|im_end|>.
TEST_CASE("prompt and completion may be messages: answers in the prompt are read, those of the completion trained") {
  const std::string row = R"({"prompt": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"},
    {"role": "user", "content": "r"}], "completion": [{"role": "assistant", "content": "b"}]})";
  std::string line = row;
  std::erase(line, '\n');
  const std::string expected =
      "«<s>»«<|im_start|>»user\nq«<|im_end|>»\n«<|im_start|>»assistant\na«<|im_end|>»\n«<|im_start|>»user\nr"
      "«<|im_end|>»\n«<|im_start|>»assistant\n⟦b«<|im_end|>»⟧\n";
  for (const char* format : {"completion", "auto", "chat"}) {
    INFO(format);
    const Loaded loaded = load_rows(line, of_format(format));
    CHECK(loaded.samples == std::vector<std::string>{expected});
    CHECK(loaded.format == "chat");
  }
  CHECK(load_rows(line, of_format("completion")).ground == "its 'prompt' is a list of messages");
  CHECK_THROWS_WITH(load_rows(R"({"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "user",)"
                              R"("content": "b"}]})",
                              of_format("completion")),
                    Contains("rows.jsonl:1: 'completion' ends with the user's words"));
  CHECK_THROWS_WITH(load_rows(R"({"prompt": ["q"], "completion": ["a"]})", of_format("completion")),
                    Contains("rows.jsonl:1: prompt[0]: found string"));
}

TEST_CASE("messages may have from and value, and conversations role and content") {
  const std::string expected = one(
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})", of_format("auto"));
  CHECK(one(R"({"messages": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})", of_format("auto")) ==
        expected);
  CHECK(one(R"({"conversations": [{"role": "user", "content": "q"}, {"role": "Assistant", "content": "a"}]})",
            of_format("auto")) == expected);
  CHECK(one(R"({"conversations": [{"from": "user", "content": "q"}, {"from": "ai", "content": "a"}]})",
            of_format("auto")) == expected);
}

Chat read_turns(const std::string& turns) {
  return {read_messages(nlohmann::ordered_json::parse(turns), "rows.jsonl:1")};
}

// ms-swift's tool_call and LLaMA-Factory's function_call hold a call as JSON, which their templates write as one.
TEST_CASE("a message that is a call becomes the assistant's, and results are the tool's") {
  const Chat chat = read_turns(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "Let me see."},
    {"role": "tool_call", "content": "{\"name\": \"f\", \"arguments\": {\"k\": 1}}"},
    {"role": "tool_call", "content": "{\"name\": \"g\", \"arguments\": \"{\\\"k\\\": 2}\"}"},
    {"role": "tool_response", "content": "{\"r\": 3}"}, {"role": "assistant", "content": "a"}])");
  REQUIRE(chat.messages.size() == 4);
  CHECK(chat.messages[1].fields.dump() == R"({"role":"assistant","content":"Let me see.","tool_calls":[)"
                                          R"({"type":"function","function":{"name":"f","arguments":{"k":1}}},)"
                                          R"({"type":"function","function":{"name":"g","arguments":{"k":2}}}]})");
  CHECK(chat.messages[2].role() == "tool");
  CHECK(chat.messages[2].content() == "{\"r\": 3}");
  const Chat shared = read_turns(R"([{"from": "human", "value": "q"},
    {"from": "function_call", "value": "[{\"name\": \"f\", \"arguments\": {}}]"}, {"from": "observation", "value": "r"}])");
  CHECK(shared.messages[1].fields["tool_calls"][0]["function"]["name"] == "f");
  CHECK(shared.messages[1].content().empty());
  CHECK(shared.messages[2].role() == "tool");
  for (const char* role : {"tool_result", "tool_output", "function_result", "Tool_Response"}) {
    CHECK(read_turns(R"([{"role": ")" + std::string(role) + R"(", "content": "r"}])").messages[0].role() == "tool");
  }
  // What is not JSON of a call stays the assistant's words.
  const Chat words = read_turns(R"([{"from": "function_call", "value": "<functioncall> f"}])");
  CHECK(words.messages[0].role() == "assistant");
  CHECK(words.messages[0].content() == "<functioncall> f");
}

TEST_CASE("pairs whose chosen and rejected begin with the prompt do not get it twice") {
  const DataSource source = chosen_of("preference");
  const std::string answers =
      R"("chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "c"}],)"
      R"("rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}])";
  const std::string expected = "«<s>»«<|im_start|>»user\nq«<|im_end|>»\n«<|im_start|>»assistant\n⟦c«<|im_end|>»⟧\n";
  CHECK(one("{" + answers + "}", source) == expected);
  CHECK(one(R"({"prompt": "q", )" + answers + "}", source) == expected);
}

TEST_CASE("an object may hold the rows of a file in a list") {
  const std::vector<std::string> expected = {"«<s>»p⟦c«</s>»⟧", "«<s>»q⟦d«</s>»⟧"};
  const std::string list = R"([{"prompt": "p", "completion": "c"},
                              {"prompt": "q", "completion": "d"}])";
  for (const std::string& text :
       {"{\"data\": " + list + "}",
        "\xef\xbb\xbf {\n \"version\": \"1.0 \\\" [\", \"n\": -1.5e3, \"data\" :" + list + ",\n \"license\": null\n}\n",
        "{\"type\": \"text2text\", \"instances\":" + list + "}"}) {
    INFO(text);
    CHECK(load_rows(text, of_format("auto")).samples == expected);
  }
  CHECK_THROWS_WITH(load_rows("{\"data\": " + list + ", \"test\": [{}]}", of_format("auto")),
                    Contains("found 'test' beside the list of rows"));
  CHECK_THROWS_WITH(load_rows("{\"data\": " + list, of_format("auto")),
                    Contains("rows.jsonl:2: the object that holds"));
  CHECK_THROWS_WITH(load_rows(R"({"data": [{"prompt": "p"}]})", of_format("completion")),
                    Contains("rows.jsonl:1[0]: no column 'completion'"));
  CHECK_THROWS_WITH(load_rows("{\"data\": []}", of_format("auto")), Contains("holds no rows"));
}

TEST_CASE("lines with a list under data stay lines") {
  const std::string turns = R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])";
  const std::string line = "{\"data\": " + turns + "}\n";
  CHECK(load_rows(line, of_format("chat", {{"messages", "data"}})).counts.rows == 1);
  CHECK(load_rows(line + line, of_format("chat", {{"messages", "data"}})).counts.rows == 2);
  const std::string row = R"({"prompt": "p", "completion": "c", "data": [{"x": 1}]})";
  CHECK(load_rows(row + "\n" + row + "\n", of_format("completion")).unread == "data 2");
}

// OpenAI's `name`, and flags of other tools. transformers renders none of them by ChatML either.
TEST_CASE("keys of a message that the chat template does not look at are named, with the rows that have them") {
  const std::string rows =
      R"({"messages": [{"role": "user", "name": "Ann", "content": "Hi"}, {"role": "assistant", "content": "Yes", "flag": 1}]}
{"messages": [{"role": "user", "name": "Bo", "content": "Hi"}, {"role": "user", "name": "Cy", "content": "Hi", "image": "a.png"}, {"role": "assistant", "content": "Yes", "name": "", "tags": []}]}
)";
  DataSource source = of_format("chat");
  source.chat_template = "chatml";
  CHECK(load_rows(rows, source).unread == "message.flag 1, message.name 2, message.image 1");
  // `content`, `role`, marks of training and what lost.h counts are not among them.
  CHECK(
      load_rows(
          R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes", "weight": 1, "reasoning_content": "Hm"}]})" +
              std::string("\n"),
          source)
          .unread.empty());
}

TEST_CASE("a key of a message that the chat template looks at, in whatever way, is read") {
  const std::string row =
      R"({"messages": [{"role": "user", "name": "Ann", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]})"
      "\n";
  const std::string begin = "{% for message in messages %}",
                    end =
                        "{{ message.role }}:{{ message.content }}</s>{% endfor %}"
                        "{% if add_generation_prompt %}assistant:{% endif %}";
  DataSource source = of_format("chat");
  for (const std::string look :
       {"{{ message.name }} ", "{{ message['name'] }} ", "{% if 'name' in message %}-{% endif %}",
        "{{ message.get('name', '') }} ", "{% if message.name == 'Bo' %}-{% endif %}",
        "{% for key, value in message.items() %}{% if key == 'name' %}-{% endif %}{% endfor %}",
        "{% for key in message %}{{ '-' if key == 'name' }}{% endfor %}"}) {
    CAPTURE(look);
    source.chat_template = begin + look + end;
    CHECK(load_rows(row, source).unread.empty());
  }
  source.chat_template = begin + end;
  CHECK(load_rows(row, source).unread == "message.name 1");
  // The name of something else is not the message's.
  source.chat_template = "{% set tool = {'name': 'x'} %}" + begin + "{{ tool.name }}" + end;
  CHECK(load_rows(row, source).unread == "message.name 1");
}

TEST_CASE("where nothing is left to train, each reason is counted apart") {
  const std::string lines =
      R"({"prompt": "a", "completion": "b", "label": false}
{"prompt": "a", "completion": "b", "label": false}
)";
  CHECK_THROWS_WITH(
      load_rows(lines, chosen_of("completion")),
      Contains("no token is left to train on in 2 rows: 2 have a label that is false") && !Contains("no answer"));
  DataSource source = of_format("chat");
  source.chat_template = "chatml";
  CHECK_THROWS_WITH(
      load_rows(
          R"({"messages": [{"role": "user", "content": "Hi"}]})"
          "\n"
          R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "x", "weight": 0}]})"
          "\n",
          source),
      Contains("2 rows: 2 have no answer to train"));
}

}  // namespace
}  // namespace lora::test
