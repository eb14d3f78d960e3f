// Keys that a recipe sets and that have no effect: named, never passed over.

#include <map>

#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

using Notes = std::vector<std::string>;

Notes notes_of(const std::string& yaml, const Overrides& overrides = {}) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", yaml);
  Notes notes = load_recipes(directory / "a.yaml", overrides).front().notes;
  const std::string folder = directory.path().string() + "/";
  for (std::string& note : notes) {
    if (note.starts_with(folder)) note.erase(0, folder.size());
  }
  return notes;
}

TEST_CASE("keys of an adapter that mean nothing with method full are named in one line") {
  CHECK(notes_of(with_line(kMinimal, 4, "  method: full\n  rank: 8\n  alpha: 32\n  dropout: 0.1")) ==
        Notes{"a.yaml:5:9: adapter.rank, adapter.alpha, adapter.dropout have no effect: method full trains all weights "
              "of the network and has no adapter"});
  CHECK(notes_of(kMinimal, {"adapter.method=full", "adapter.modules_to_save=[lm_head]"}) ==
        Notes{"a.yaml:4:19: adapter.target_modules, adapter.modules_to_save have no effect: method full trains all "
              "weights of the network and has no adapter"});
  CHECK(notes_of(with_line(kMinimal, 4, "  method: full")).empty());
}

TEST_CASE("each key that another key leaves without an effect is named, with the reason") {
  const std::map<std::string, std::string> reasons = {
      {"training.min_lr_ratio=0.1", "lr_schedule constant does not fall"},
      {"training.memory_limit=2GiB", "micro_batch_size says how large a pass is"},
      {"data.max_errors=7", "on_error fail ends at the first row that cannot be used"},
      {"model.double_quantization=false", "it is of quantization nf4, found none"},
      {"model.new_tokens_init=mean", "there are no new_tokens"},
      {"adapter.ignored_options=[x]", "it is about the file of init_from, and there is none"},
      {"distributed.by=adapters", "the recipe has no list of adapters"},
      {"evaluation.show=1", "exact_match is 0, so that no row is answered"},
      {"evaluation.max_new_tokens=3", "exact_match is 0, so that no row is answered"},
      {"data.cleaning.length=drop", "the rule has neither min_chars nor max_chars"},
      {"data.cleaning.answer_ratio=drop", "the rule has neither min_ratio nor max_ratio"},
  };
  for (const auto& [text, reason] : reasons) {
    const std::string key = text.substr(0, text.find('='));
    CHECK(notes_of(kMinimal, {"training.lr_schedule=constant", "training.micro_batch_size=1", text}) ==
          Notes{"override '" + text + "': " + key + " has no effect: " + reason});
  }
  CHECK(notes_of(with_line(kMinimal, 7, "    - {path: train.jsonl, format: classification}"),
                 {"model.head=sequence_classification", "data.template=chatml", "data.overlong=drop"}) ==
        Notes{"override 'data.template=chatml': data.template, data.overlong have no effect: a classifier reads texts "
              "and their labels, and writes no answers"});
}

TEST_CASE("keys that have their effect, or their default, are not named") {
  CHECK(notes_of(kMinimal, {"training.min_lr_ratio=0.1", "training.memory_limit=2GiB", "data.max_errors=7",
                            "data.on_error=skip", "model.quantization=nf4", "model.double_quantization=false",
                            "data.cleaning.length={action: drop, min_chars: 3}"})
            .empty());
  CHECK(notes_of(to_yaml(load_text(kMinimal))).empty());
}

}  // namespace
}  // namespace lora::test
