#include "lora/inference/streamed_answer.h"

#include <chrono>

#include "lora/inference/exact_match.h"
#include "lora/inference/stop_text.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

std::string rate(int64_t tokens, double time) {
  return time > 0 ? " at " + fixed(static_cast<double>(tokens) / time, 1) + "/s" : "";
}

}  // namespace

StreamedAnswer stream_answer(Generator& generator, const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
                             const GenerationConfig& config,
                             const std::function<void(std::string_view text)>& on_text) {
  if (prompt.empty()) throw DataError("the prompt is empty; expected at least one token");
  StreamedAnswer answer;
  std::vector<int64_t> tokens;
  size_t shown = 0;
  const auto show = [&](size_t bytes) {
    if (bytes <= shown) return;
    on_text(std::string_view(answer.text).substr(shown, bytes - shown));
    shown = bytes;
  };
  const auto begin = Clock::now();
  auto first = begin;
  const auto on_token = [&](size_t, int64_t id, std::span<const float>) {
    if (tokens.empty()) first = Clock::now();
    tokens.push_back(id);
    // Decodes the whole answer each time, because a character can span several tokens.
    answer.text = continuation(tokenizer, prompt, tokens);
    if (const size_t stop = stop_place(answer.text, config.stop_texts); stop != std::string::npos) {
      answer.text.resize(stop);
      return false;
    }
    if (!answer.text.ends_with("\xEF\xBF\xBD")) show(settled_bytes(answer.text, config.stop_texts));
    return true;
  };
  answer.read = generator.generate({prompt}, config, on_token).read;
  const auto end = Clock::now();
  if (tokens.empty()) first = end;
  show(answer.text.size());
  answer.written = static_cast<int64_t>(tokens.size());
  answer.read_seconds = seconds(begin, first);
  answer.written_seconds = seconds(first, end);
  return answer;
}

std::string speed_line(const StreamedAnswer& answer) {
  std::string line = with_commas(answer.read) + " tokens read" + rate(answer.read, answer.read_seconds);
  line += ", " + with_commas(answer.written) + " written";
  // The prompt's pass produced the first token.
  return answer.written > 1 ? line + rate(answer.written - 1, answer.written_seconds) : line;
}

}  // namespace lora
