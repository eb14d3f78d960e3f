#include "models/network/families/families.h"

#include <algorithm>

namespace lora {

std::span<const Family> families() {
  static constexpr Family kFamilies[] = {
      {"llama", read_llama, "LlamaForSequenceClassification"},
      {"mistral", read_mistral, "MistralForSequenceClassification"},
      {"qwen2", read_qwen2, "Qwen2ForSequenceClassification"},
      {"qwen3", read_qwen3, "Qwen3ForSequenceClassification"},
      {"smollm3", read_smollm3, "SmolLM3ForSequenceClassification"},
      {"phi3", read_phi3, "Phi3ForSequenceClassification"},
      {"gemma", read_gemma, "GemmaForSequenceClassification"},
      {"gemma2", read_gemma2, "Gemma2ForSequenceClassification"},
      {"gemma3_text", read_gemma3_text, "Gemma3TextForSequenceClassification"},
      {"olmo2", read_olmo2, "Olmo2ForSequenceClassification"},
      {"granite", read_granite, ""},
  };
  return kFamilies;
}

const Family* find_family(std::string_view model_type) {
  const auto found = std::ranges::find(families(), model_type, &Family::model_type);
  return found == families().end() ? nullptr : &*found;
}

}  // namespace lora
