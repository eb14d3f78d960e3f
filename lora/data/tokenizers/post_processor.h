#pragma once
// Reads `post_processor` of tokenizer.json for a single text: the tokens before and after it.

#include "lora/data/tokenizers/json_view.h"
#include "lora/data/tokenizers/surroundings.h"

namespace lora {

// TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel (which adds nothing), Sequence. Throws ModelError
// for any other, and for more than one token on a side.
Surroundings read_post_processor(const JsonView& object);

}  // namespace lora
