// data.mixing and data.cleaning: what it takes and what it refuses.

#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

std::string with_cleaning(const std::string& text) {
  return with_line(7, "    - {path: train.jsonl, format: completion}\n  cleaning: " + text);
}

CleaningConfig cleaning(const std::string& text) { return load_text(with_cleaning(text)).data.cleaning; }

TEST_CASE("a rule of cleaning is its action, or a map with its bounds") {
  CHECK(cleaning("{}") == CleaningConfig{});
  CHECK(cleaning("{near_duplicates: drop}").near_duplicates.action == RuleAction::kDrop);
  CHECK(cleaning("{near_duplicates: drop}").near_duplicates.threshold == 0.8);
  const auto near = cleaning("{near_duplicates: {threshold: 0.7, ngram_unit: word, ngram_size: 3}}").near_duplicates;
  CHECK(near == NearDuplicatesConfig{RuleAction::kWarn, 0.7, NgramUnit::kWord, 3, 128});
  CHECK(cleaning("{pii: off, exact_duplicates: drop}").pii == RuleAction::kOff);
  CHECK(cleaning("{length: {action: drop, max_chars: 4000}}").length.max_chars == 4000);
}

TEST_CASE("what a rule of cleaning cannot be is said at its place") {
  const auto check = [](const std::string& text, const std::string& message) {
    CHECK(error_of(with_cleaning(text)) == "[recipe] a.yaml:8:" + message);
  };
  check("{near_duplicates: dorp}",
        "31: data.cleaning.near_duplicates.action: expected one of off, warn, drop, found 'dorp' (did you mean "
        "'drop'?)");
  check("{near_duplicates: {threshold: 0}}",
        "43: data.cleaning.near_duplicates.threshold: expected a number > 0 and <= 1, found '0'");
  check("{exact_duplicates: true}",
        "32: data.cleaning.exact_duplicates: expected one of off, warn, drop, found 'true' (did you mean 'warn'?)");
  check("{minhash: drop}", "14: unknown key 'minhash' in 'data.cleaning' (did you mean 'near_duplicates'?)");
  check("{near_duplicates: {num_permutations: 64}}",
        "32: unknown key 'num_permutations' in 'data.cleaning.near_duplicates' (did you mean 'num_perm'? it is split "
        "into bands by the threshold)");
  check("{length: {min_chars: 9, max_chars: 8}}",
        "48: data.cleaning.length.max_chars: is less than min_chars, so that no row would do");
  check("{pii: {action: drop}}", "19: data.cleaning.pii: expected one of off, warn, drop, found a map");
}

TEST_CASE("weights, epochs and temperature go with the strategy that reads them") {
  const auto load = [](const std::string& source, const std::string& mixing) {
    return error_of(with_line(7, "    - {path: train.jsonl, format: completion" + source + "}\n" + mixing));
  };
  const std::string weights = "  mixing: {strategy: weights, by: tokens}";
  CHECK(load(", weight: 0.3", weights) == "loaded");
  CHECK(load(", epochs: 2.5", "  mixing: {}") == "loaded");
  CHECK(load(", weight: 2", "  mixing: {strategy: temperature, temperature: 3}") == "loaded");
  CHECK_THAT(load(", weight: 0.3", "  shuffle: true"),
             Contains("a.yaml:7:55: data.train.0.weight: only with data.mixing.strategy weights or temperature"));
  CHECK_THAT(load(", epochs: 2", weights), Contains("data.train.0.epochs: only with data.mixing.strategy concatenate"));
  CHECK_THAT(load("", "  mixing: {temperature: 2}"), Contains("8:25: data.mixing.temperature: only with strategy"));
  CHECK_THAT(load("", "  mixing: {by: tokens}"), Contains("data.mixing.by: only with strategy weights or temperature"));
  CHECK_THAT(load("", "  mixing: {strategy: interleave}"), Contains("(did you mean 'weights'?)"));
  for (const char* weight : {"0", "-1", ".nan", ".inf"}) {
    CHECK_THAT(load(std::string(", weight: ") + weight, weights), Contains("data.train.0.weight: expected"));
  }
  CHECK_THAT(load("", "  validation: [{path: a, format: text, weight: 2}]"),
             Contains("validation rows are all seen once"));
}

TEST_CASE("streaming refuses by name what wants the whole data set, and takes its defaults back") {
  const auto text = [](const std::string& more) {
    return with_line(7, "    - {path: train.jsonl, format: completion}\n  streaming: true" + more);
  };
  const DataConfig data = load_text(text("\n  shuffle_buffer: 3\n  cleaning: {exact_duplicates: off}")).data;
  CHECK(data.streaming);
  CHECK(data.shuffle_buffer == 3);
  CHECK(data.cleaning.exact_duplicates == RuleAction::kOff);
  CHECK(data.cleaning.near_duplicates.action == RuleAction::kOff);
  CHECK(data.cleaning.conflicting_answers == RuleAction::kOff);
  CHECK(data.cleaning.contamination.action == RuleAction::kWarn);
  CHECK(load_text(to_yaml(load_text(text("")))).data.streaming);
  const auto refused = [&](const std::string& more, const std::string& message) {
    CHECK_THAT(error_of(text(more)), Contains(message));
  };
  refused("\n  cleaning: {exact_duplicates: warn}", "9:32: data.cleaning.exact_duplicates: not with data.streaming");
  refused("\n  cleaning: {near_duplicates: {threshold: 0.9}}", "data.cleaning.near_duplicates: not with");
  refused("\n  cleaning: {conflicting_answers: drop}", "data.cleaning.conflicting_answers: not with");
  refused("\n  mixing: {strategy: weights}", "data.mixing.strategy: not with data.streaming");
  refused("\n  shuffle_buffer: 0", "data.shuffle_buffer: expected");
  refused("\n  shuffle_buffer_size: 9", "(did you mean 'shuffle_buffer'?");
  CHECK_THAT(error_of(with_line(7, "    - {path: train.jsonl, format: completion, epochs: 2}\n  streaming: true")),
             Contains("data.train.0.epochs: not with data.streaming"));
  CHECK_THAT(error_of(with_line(7, "    - {path: train.jsonl, format: completion}\n  shuffle_buffer: 9")),
             Contains("data.shuffle_buffer: only with data.streaming"));
}

}  // namespace
}  // namespace lora::test
