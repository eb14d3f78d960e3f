#pragma once
// `post_processor` of tokenizer.json, as far as one text is concerned: which tokens stand around it.

#include <optional>
#include <string>

#include "lora/data/tokenizers/json_view.h"

namespace lora {

struct Surroundings {
  std::optional<std::string> before, behind;
};

// TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel (which adds nothing), Sequence. Throws ModelError
// for another one, and for more than one token on a side.
Surroundings read_post_processor(const JsonView& object);

}  // namespace lora
