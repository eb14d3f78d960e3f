#pragma once
// Where rows come from: the plain form of a recipe's `data` section.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/cleaning/config.h"
#include "lora/data/mixing_config.h"
#include "models/base/names.h"

namespace lora {

// What is trained of a sample: the answers, every token, the last answer, or (of a preference pair alone) the chosen
// answer, as an answer like any other.
enum class TrainOn { kAssistant, kAll, kLastTurn, kChosen };
inline const Names& names_of(TrainOn) {
  static const Names names = {{"assistant", "all", "last_turn", "chosen"},
                              {{"completion", "assistant"}, {"everything", "all"}, {"last", "last_turn"}}};
  return names;
}

// What a run learns from a row: text; a text's label; which of two answers is better; or whether an answer is good. It
// follows from training.objective and model.head.
enum class Trains { kText, kLabel, kPair, kMark };
constexpr bool learns_preferences(Trains trains) { return trains == Trains::kPair || trains == Trains::kMark; }

// What is done with a sample of more than max_length tokens.
enum class Overlong { kTruncate, kDrop, kSplit };
inline const Names& names_of(Overlong) {
  static const Names names = {{"truncate", "drop", "split"}, {{"cut", "truncate"}, {"skip", "drop"}}};
  return names;
}

// What is done with a row that cannot be used.
enum class OnError { kFail, kSkip };
inline const Names& names_of(OnError) {
  static const Names names = {{"fail", "skip"}, {{"raise", "fail"}, {"ignore", "skip"}, {"drop", "skip"}}};
  return names;
}

// Which rows of a source are used: with data.validation_split, training reads all but those that validation reads.
struct RowPart {
  enum class Use { kAll, kTraining, kValidation };
  Use use = Use::kAll;
  double share = 0;   // of the rows that are for validation, below 1
  uint64_t seed = 0;  // decides which
  // Where so many rows are for validation of the so many that the source has; share is then their quotient.
  int64_t chosen = 0, rows = 0;
  bool operator==(const RowPart&) const = default;
};

struct DataSource {
  std::string path;                           // of a file, packed or not; a pattern; "-": standard input
  std::string format = "auto";                // one of format_names() in format.h
  double weight = 1.0;                        // see mixing_config.h
  std::map<std::string, std::string> fields;  // the format's name -> the file's name of a column
  // These two replace the data's; empty: the data's.
  std::string chat_template = {};  // key `template`; where it is set, it renders alpaca and completion rows too
  std::optional<TrainOn> train_on = {};
  double epochs = 1.0;  // see mixing_config.h
  RowPart part = {};    // not of the recipe: see row_part.h
  bool operator==(const DataSource&) const = default;
};

struct DataConfig {
  std::vector<DataSource> train;
  std::vector<DataSource> validation;
  // In place of `validation`: this share of the rows of train or, from 1 on, so many of them, see row_part.h; 0: none.
  double validation_split = 0;
  bool shuffle = true;
  bool streaming = false;           // train is read once, as the run goes; see sample_stream.h
  int64_t shuffle_buffer = 10'000;  // with streaming: samples that are shuffled and packed together
  OnError on_error = OnError::kFail;
  int64_t max_errors = 100;            // with kSkip: more such rows than this are an error
  std::string cache_dir = "auto";      // see cache.h; empty: no cache
  std::string chat_template = "auto";  // key `template`; see find_chat_template in chat_template.h
  TrainOn train_on = TrainOn::kAssistant;
  Overlong overlong = Overlong::kTruncate;
  bool allow_special_tokens = false;  // the name of a special token in a row is this token; false: it is text
  MixingConfig mixing;
  CleaningConfig cleaning;
  Trains trains = Trains::kText;  // not of the recipe's data section: as its objective asks
  bool operator==(const DataConfig&) const = default;
};

}  // namespace lora
