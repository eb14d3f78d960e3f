#pragma once
// Which rules rows are held to and what is done with those that break one: a recipe's `data.cleaning`.

#include <cstdint>
#include <optional>
#include <string>

namespace lora {

// An action is off (not looked for), warn (counted and shown, kept) or drop (counted, shown and left out of training).

struct NearDuplicatesConfig {
  std::string action = "warn";
  double threshold = 0.8;           // Jaccard similarity of two rows' n-grams from which they are near duplicates
  std::string ngram_unit = "char";  // char | word
  int64_t ngram_size = 5;
  int64_t num_perm = 128;  // hash functions of a MinHash signature
  bool operator==(const NearDuplicatesConfig&) const = default;
};

struct ContaminationConfig {
  std::string action = "warn";
  double threshold = 0.8;  // as near_duplicates', whose n-grams and permutations are used
  bool operator==(const ContaminationConfig&) const = default;
};

// Of a row's prompt and answer together, in characters. Without bounds nothing is looked for.
struct LengthBoundsConfig {
  std::string action = "warn";
  std::optional<int64_t> min_chars, max_chars;
  bool operator==(const LengthBoundsConfig&) const = default;
};

// Characters of the answer over those of the prompt, of rows that have both.
struct AnswerRatioConfig {
  std::string action = "warn";
  std::optional<double> min_ratio, max_ratio;
  bool operator==(const AnswerRatioConfig&) const = default;
};

struct NonAlphanumericConfig {
  std::string action = "warn";
  double max_ratio = 0.5;  // of the characters that are no white space
  bool operator==(const NonAlphanumericConfig&) const = default;
};

struct CleaningConfig {
  std::string exact_duplicates = "warn";
  NearDuplicatesConfig near_duplicates;
  ContaminationConfig contamination;
  std::string conflicting_answers = "warn";
  std::string empty_answers = "warn";
  LengthBoundsConfig length;
  AnswerRatioConfig answer_ratio;
  std::string invalid_utf8 = "warn";
  std::string control_characters = "warn";
  NonAlphanumericConfig non_alphanumeric;
  std::string pii = "warn";
  bool operator==(const CleaningConfig&) const = default;
};

}  // namespace lora
