#pragma once
// Where rows come from: the plain form of a recipe's `data` section.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lora/data/cleaning/config.h"
#include "lora/data/mixing_config.h"

namespace lora {

struct DataSource {
  std::string path;                           // of a file, packed or not; a pattern; "-": standard input
  std::string format;                         // a name of formats() in format.h, or auto
  double weight = 1.0;                        // see mixing_config.h
  std::map<std::string, std::string> fields;  // the format's name -> the file's name of a column
  // In place of the data's; empty: that.
  std::string chat_template = {};  // key `template`; given, alpaca, completion and text pairs are rendered by it too
  std::string train_on = {};       // also `chosen`: a preference pair's, as an answer like any other
  double epochs = 1.0;             // see mixing_config.h
  bool operator==(const DataSource&) const = default;
};

struct DataConfig {
  std::vector<DataSource> train;
  std::vector<DataSource> validation;
  bool shuffle = true;
  bool streaming = false;              // train is read in passing; see sample_stream.h
  int64_t shuffle_buffer = 10'000;     // with streaming: samples that are shuffled and packed together
  std::string on_error = "fail";       // rows that cannot be used: fail | skip
  int64_t max_errors = 100;            // with skip: more than so many are an error all the same
  std::string cache_dir = "auto";      // see cache.h; empty: no cache
  std::string chat_template = "auto";  // key `template`; see find_chat_template in chat_template.h
  std::string train_on = "assistant";  // assistant: the answers · all: every token · last_turn: the last answer
  std::string overlong = "truncate";   // samples of more than max_length tokens: truncate | drop | split
  bool allow_special_tokens = false;   // names of special tokens in rows are these tokens, and not plain text
  MixingConfig mixing;
  CleaningConfig cleaning;
  bool operator==(const DataConfig&) const = default;
};

}  // namespace lora
