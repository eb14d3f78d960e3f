#include "lora/inference/streamed_answer.h"

#include <chrono>

#include "lora/inference/answer_text.h"
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
                             const GenerationConfig& config, const OnText& on_text) {
  if (prompt.empty()) throw DataError("the prompt is empty; expected at least one token");
  StreamedAnswer answer;
  AnswerText text(tokenizer, prompt, config.stop_texts);
  bool ended = false;
  const auto show = [&](const std::string& piece) {
    answer.text += piece;
    if (!piece.empty() && !on_text(piece)) ended = true;
  };
  const auto begin = Clock::now();
  auto first = begin;
  const auto on_token = [&](size_t, int64_t id, std::span<const float>) {
    if (answer.written++ == 0) first = Clock::now();
    show(text.add(id));
    return !ended && !text.is_stopped();
  };
  answer.read = generator.generate({prompt}, config, on_token).read;
  answer.length = std::ssize(prompt) + answer.written;
  const auto end = Clock::now();
  if (answer.written == 0) first = end;
  if (!ended) show(text.rest());
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
