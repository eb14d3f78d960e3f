#include "lora/data/counts.h"

#include <string>

#include "models/base/error.h"

namespace lora {
namespace {

std::string rows(int64_t count) { return std::to_string(count) + (count == 1 ? " row" : " rows"); }

std::string why_nothing_is_left(const SourceCounts& counts, int64_t max_length, bool labelled) {
  std::string message = "no token is left to train on in " + rows(counts.rows) + ": ", separator;
  const auto add = [&](const std::string& reason) {
    message += separator + reason;
    separator = "; ";
  };
  if (counts.untrained_by_cut > 0) {
    add("the prompts of " + std::to_string(counts.untrained_by_cut) + " alone fill max_length " +
        std::to_string(max_length) + ", expected room for the answer; raise training.max_length");
  }
  if (counts.untrained_by_label > 0) add(std::to_string(counts.untrained_by_label) + " have a label that is false");
  if (counts.untrained_no_answer > 0) add(std::to_string(counts.untrained_no_answer) + " have no answer to train");
  const int64_t named = counts.untrained_by_cut + counts.untrained_by_label + counts.untrained_no_answer;
  if (const int64_t others = counts.untrained - named; others > 0) {
    add(std::to_string(others) + (labelled ? " have a text without a token" : " have an answer without a token"));
  }
  if (counts.too_long > 0) {
    add(std::to_string(counts.too_long) + " are longer than max_length " + std::to_string(max_length) +
        ", and data.overlong is drop or a preferred answer alone is so long; raise training.max_length");
  }
  if (counts.unreadable > 0) {
    add(std::to_string(counts.unreadable) + " cannot be used, and data.on_error is skip; fail says what is wrong");
  }
  if (counts.filtered > 0) add("data.cleaning left out " + std::to_string(counts.filtered));
  return message;
}

}  // namespace

SourceCounts& SourceCounts::operator+=(const SourceCounts& other) {
  rows += other.rows;
  unreadable += other.unreadable;
  filtered += other.filtered;
  too_long += other.too_long;
  untrained += other.untrained;
  untrained_by_cut += other.untrained_by_cut;
  untrained_by_label += other.untrained_by_label;
  untrained_no_answer += other.untrained_no_answer;
  cut += other.cut;
  split += other.split;
  answers += other.answers;
  ended += other.ended;
  only_end += other.only_end;
  samples += other.samples;
  tokens += other.tokens;
  supervised += other.supervised;
  lost_tools += other.lost_tools;
  lost_calls += other.lost_calls;
  lost_content += other.lost_content;
  lost_reasoning += other.lost_reasoning;
  open_answers += other.open_answers;
  return *this;
}

void expect_trainable(const SourceCounts& counts, int64_t max_length, bool labelled) {
  if (counts.samples == 0 && counts.rows > 0) throw DataError(why_nothing_is_left(counts, max_length, labelled));
  if (counts.answers == 0 || counts.ended > 0) return;
  const std::string found = "the end of none of " + std::to_string(counts.answers) +
                            " answers is trained, so that the "
                            "model would never stop: ";
  if (counts.cut == counts.answers) {
    throw DataError(found + "all of them are cut at max_length " + std::to_string(max_length) +
                    "; raise training.max_length, or take data.overlong: drop or split");
  }
  throw DataError(found +
                  "neither the tokenizer nor the template ends them with a special token; expected an EOS in "
                  "the tokenizer's files or in the template");
}

}  // namespace lora
