#include "lora/recipe/known_names.h"

#include <map>
#include <set>

#include "lora/adapters/config.h"
#include "lora/adapters/initialise.h"
#include "lora/adapters/registry.h"

namespace lora {
namespace {

// Data format -> its columns.
const std::map<std::string, std::vector<std::string>>& formats() {
  static const std::map<std::string, std::vector<std::string>> table = {
      {"alpaca", {"instruction", "input", "output"}},
      {"chat", {"messages", "tools"}},
      {"classification", {"text", "label"}},
      {"completion", {"prompt", "completion"}},
      {"preference", {"prompt", "input", "chosen", "rejected"}},
      {"sharegpt", {"conversations", "system", "tools"}},
      {"text", {"text"}},
  };
  return table;
}

// The names of a registry's rows, with what other tools call them.
template <typename Row>
Names of_rows(const std::vector<Row>& rows) {
  Names names;
  for (const Row& row : rows) {
    names.available.push_back(row.name);
    for (const std::string& other : row.other_names) names.elsewhere.emplace_back(other, row.name);
  }
  return names;
}

}  // namespace

const Names& known_formats() {
  static const Names names = [] {
    Names made{{},
               {},
               {{"messages", "chat"},
                {"openai", "chat"},
                {"chat_template", "chat"},
                {"chatml", "chat"},
                {"conversations", "sharegpt"},
                {"dpo", "preference"},
                {"pretrain", "text"}}};
    made.available.push_back("auto");
    for (const auto& [name, columns] : formats()) made.available.push_back(name);
    return made;
  }();
  return names;
}

const Names& known_train_on() {
  static const Names names = {{"assistant", "all", "last_turn"},
                              {},
                              {{"completion", "assistant"}, {"everything", "all"}, {"last", "last_turn"}}};
  return names;
}

const Names& known_source_train_on() {
  static const Names names = [] {
    Names made = known_train_on();
    made.available.push_back("chosen");
    return made;
  }();
  return names;
}

const Names& known_templates() {
  static const Names names = {
      {"auto", "model", "alpaca", "chatml", "gemma", "llama-2", "llama-3", "mistral", "phi-3", "plain", "zephyr"},
      {},
      {{"tokenizer_default", "model"},
       {"chat_template", "model"},
       {"default", "auto"},
       {"llama2", "llama-2"},
       {"llama3", "llama-3"},
       {"qwen", "chatml"},
       {"qwen2.5", "chatml"},
       {"phi3", "phi-3"}}};
  return names;
}

const Names& known_overlong() {
  static const Names names = {{"truncate", "drop", "split"}, {}, {{"cut", "truncate"}, {"skip", "drop"}}};
  return names;
}

const std::vector<std::string>& format_columns(const std::string& format) {
  static const std::vector<std::string> all = [] {
    std::set<std::string> columns;
    for (const auto& [name, of_format] : formats()) columns.insert(of_format.begin(), of_format.end());
    return std::vector<std::string>(columns.begin(), columns.end());
  }();
  return format == "auto" ? all : formats().at(format);
}

const Names& known_actions() {
  static const Names names = {
      {"off", "warn", "drop"},
      {},
      {{"false", "off"}, {"none", "off"}, {"true", "warn"}, {"count", "warn"}, {"remove", "drop"}, {"filter", "drop"}}};
  return names;
}

const Names& known_ngram_units() {
  static const Names names = {{"char", "word"}, {}, {{"character", "char"}, {"chars", "char"}, {"words", "word"}}};
  return names;
}

const Names& known_mixing_strategies() {
  static const Names names = {{"concatenate", "weights", "temperature"},
                              {},
                              {{"concat", "concatenate"},
                               {"none", "concatenate"},
                               {"interleave", "weights"},
                               {"interleave_under", "weights"},
                               {"interleave_over", "weights"},
                               {"probabilities", "weights"}}};
  return names;
}

const Names& known_mixing_units() {
  static const Names names = {{"samples", "tokens"}, {}, {{"rows", "samples"}, {"examples", "samples"}}};
  return names;
}

const Names& known_methods() {
  static const Names names = of_rows(methods());
  return names;
}

const Names& known_adapter_inits() {
  static const Names names = of_rows(initial_pairs());
  return names;
}

const Names& known_biases() {
  static const Names names = [] {
    Names made;
    for (const BiasChoice& choice : kBiasChoices) {
      made.available.emplace_back(choice.name);
      if (choice.other_name) made.elsewhere.emplace_back(choice.other_name, choice.name);
    }
    return made;
  }();
  return names;
}

const Names& known_exports() {
  static const Names names = {{"peft", "lora", "torchscript", "torchscript-int8", "huggingface", "gguf", "gguf-f32",
                               "gguf-f16", "gguf-bf16", "gguf-q8_0", "gguf-lora"},
                              {},
                              {{"hf", "huggingface"},
                               {"jit", "torchscript"},
                               {"int8", "torchscript-int8"},
                               {"llama.cpp", "gguf"},
                               {"q8_0", "gguf-q8_0"},
                               {"f16", "gguf-f16"}}};
  return names;
}

const Names& known_optimizers() {
  static const Names names = {
      {"adamw"}, {}, {{"adamw_torch", "adamw"}, {"adamw_torch_fused", "adamw"}, {"adamw_hf", "adamw"}}};
  return names;
}

const Names& known_schedules() {
  static const Names names = {
      {"constant", "linear", "cosine"}, {}, {{"constant_with_warmup", "constant"}, {"cosine_with_min_lr", "cosine"}}};
  return names;
}

const Names& known_memory_modes() {
  static const Names names = {{"auto", "low", "fast"}, {}, {{"minimal", "low"}, {"high", "fast"}}};
  return names;
}

const Names& known_dtypes() {
  static const Names names = {{"auto", "float32", "bfloat16"},
                              {},
                              {{"fp32", "float32"}, {"f32", "float32"}, {"float", "float32"}, {"bf16", "bfloat16"}}};
  return names;
}

const Names& known_quantizations() {
  static const Names names = {{"none", "int8", "nf4"}, {}, {{"8bit", "int8"}, {"4bit", "nf4"}, {"fp4", "nf4"}}};
  return names;
}

const Names& known_on_error() {
  static const Names names = {{"fail", "skip"}, {}, {{"raise", "fail"}, {"ignore", "skip"}, {"drop", "skip"}}};
  return names;
}

const Names& known_heads() {
  static const Names names = {
      {"none", "sequence_classification"},
      {},
      {{"SEQ_CLS", "sequence_classification"}, {"classification", "sequence_classification"}, {"CAUSAL_LM", "none"}}};
  return names;
}

const Names& known_model_inits() {
  static const Names names = {{"pretrained", "random"}, {}, {{"scratch", "random"}}};
  return names;
}

}  // namespace lora
