#pragma once
// Generates one answer, passes its text on as it grows, and measures the speed.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lora/data/tokenizer.h"
#include "lora/inference/generation.h"

namespace lora {

struct StreamedAnswer {
  std::string text;
  int64_t read = 0, written = 0;                 // tokens: prompt without the known ones; answer
  int64_t length = 0;                            // tokens: whole prompt and answer
  double read_seconds = 0, written_seconds = 0;  // until the first token; after it
};

// Is given text of an answer as it grows. False ends the answer there.
using OnText = std::function<bool(std::string_view text)>;

// Calls on_text with the text that each token adds, in whole characters. A character of several tokens comes with its
// last token, and what may become a stop text when it is clear that it does not. Throws DataError for a prompt without
// tokens.
StreamedAnswer stream_answer(Generator& generator, const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
                             const GenerationConfig& config, const OnText& on_text);

// "12 tokens read at 340.1/s, 20 written at 45.2/s"
std::string speed_line(const StreamedAnswer& answer);

}  // namespace lora
