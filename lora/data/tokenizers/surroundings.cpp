#include "lora/data/tokenizers/surroundings.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace lora {
namespace {

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// transformers 5 reads the tokenizers of these model types by its generic class, whatever class they name.
constexpr std::array<std::string_view, 5> kGenericTypes = {"mistral", "qwen2", "phi3", "olmo2", "granite"};

// transformers 4: the classes that go by the flags alone, with BOS unless they say otherwise, and the model types whose
// tokenizers are of such a class where none is named.
constexpr std::array<std::string_view, 4> kFlagClasses = {"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer",
                                                          "CohereTokenizer"};
constexpr std::array<std::string_view, 6> kFlagTypes = {"llama", "mistral", "phi3", "gemma", "gemma2", "gemma3_text"};

// What stands before a text in transformers 4.57. Empty if it cannot load such a directory.
std::optional<bool> before_in_4(const TokenizerConfig& config, TokenizerFile file, const Surroundings& by_processor) {
  const bool named = !config.type.empty();
  const bool by_flags = named ? is_one_of(config.type, kFlagClasses) : is_one_of(config.model_type, kFlagTypes);
  if (by_flags) return config.add_bos.value_or(true);
  const bool neox = named ? config.type == "GPTNeoXTokenizer" : config.model_type == "olmo2";
  if (neox) return config.add_bos.value_or(false);
  constexpr std::array<std::string_view, 3> kProcessorClasses = {"PreTrainedTokenizer", "GPT2Tokenizer",
                                                                 "Qwen2Tokenizer"};
  constexpr std::array<std::string_view, 3> kProcessorTypes = {"qwen2", "qwen3", "smollm3"};
  const bool known = named ? is_one_of(config.type, kProcessorClasses) : is_one_of(config.model_type, kProcessorTypes);
  if (!known || file == TokenizerFile::kModel) return std::nullopt;
  if (file == TokenizerFile::kJson) return by_processor.before.has_value();
  return config.type == "GPT2Tokenizer" && config.add_bos.value_or(false);
}

std::string flag_text(const TokenizerConfig& config) {
  return config.add_bos ? "add_bos_token: " + std::string(*config.add_bos ? "true" : "false") : "no add_bos_token";
}

std::string note_on(const TokenizerConfig& config, bool before, const std::string& reason, bool by_4) {
  const std::string type = config.type.empty() ? "a tokenizer of model type " + config.model_type : config.type;
  return std::string(before ? "put before each text" : "not put before a text") + ": " + reason + "; transformers 4 " +
         (by_4 ? "puts one" : "puts none") + " for " + type + " with " + flag_text(config);
}

}  // namespace

SettledSurroundings settle_surroundings(const TokenizerConfig& config, TokenizerFile file,
                                        const Surroundings& by_processor, bool bos, bool eos) {
  SettledSurroundings settled;
  const bool own_class = !is_one_of(config.model_type, kGenericTypes);
  const bool code_llama = own_class && config.type == "CodeLlamaTokenizer";
  std::string reason;
  if (file == TokenizerFile::kJson) {
    if (code_llama) {
      settled.before = bos;
      reason = "CodeLlamaTokenizer always has one in transformers 5";
    } else if (own_class && config.type == "GPTNeoXTokenizer") {
      reason = "GPTNeoXTokenizer has none beside a tokenizer.json in transformers 5";
    } else {
      settled.names = by_processor;
      settled.before = by_processor.before.has_value();
      settled.behind = by_processor.behind.has_value();
      reason = "in transformers 5 the post-processor of tokenizer.json decides, not the flags";
    }
  } else if (file == TokenizerFile::kModel && !config.has_config && !config.add_bos && !config.add_eos) {
    settled.before = bos;
    if (bos) {
      settled.note =
          "put before each text: a SentencePiece model without a tokenizer_config.json; transformers 4 puts one too, "
          "transformers 5 none (add_bos_token: true in a tokenizer_config.json makes it do so)";
    }
    return settled;
  } else {
    settled.before = bos && config.add_bos.value_or(code_llama);
    settled.behind = eos && config.add_eos.value_or(false);
    reason = "in transformers 5 add_bos_token decides, which is " +
             std::string(config.add_bos ? (*config.add_bos ? "true" : "false") : "not set");
  }
  const std::optional<bool> other = before_in_4(config, file, by_processor);
  if (other && bos && *other != settled.before) settled.note = note_on(config, settled.before, reason, *other);
  return settled;
}

}  // namespace lora
