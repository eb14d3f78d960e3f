// The objective of a recipe, its data and the keys of training.preference.

#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {

TEST_CASE("an objective refuses data that it cannot learn from, and keys that have no part in it") {
  const auto refused = [](const std::string& format, const std::string& objective, const std::string& part) {
    const std::string yaml = with_line(with_line(kMinimal, 9, "  max_steps: 200\n  " + objective), 7,
                                       "    - {path: train.jsonl, format: " + format + "}");
    INFO(objective);
    CHECK_THAT(error_of(yaml), Catch::Matchers::Contains(part));
  };
  refused("completion", "objective: dop", "'dop' (did you mean 'dpo'?)");
  refused("completion", "objective: dpo", "7:35: data.train.0.format: the objective learns from pairs");
  refused("preference", "preference: {beta: 0}", "training.preference.beta: expected a finite number > 0");
  refused("preference", "objective: dpo\n  preference: {beta: .nan}", "training.preference.beta");
  refused("preference", "objective: dpo\n  preference: {simpo_gamma: 1}",
          "training.preference.simpo_gamma: has a part in training.objective simpo, found dpo");
  refused("preference", "objective: orpo\n  preference: {reference: initial}",
          "training.preference.reference: has a part in training.objective dpo, ipo, kto, found orpo");
  refused("preference", "objective: dpo\n  preference: {reference: none}", "compares with a reference");
  refused("preference", "objective: cpo\n  preference: {loss: robust}", "robust is not a loss of cpo");
  refused("preference", "objective: dpo\n  preference: {label_smoothing: 0.1}", "robust alone has it");
  refused("preference", "objective: kto\n  batch_size: 1", "expected at least 2");
  refused("preference", "objective: orpo\n  best_by: kl",
          "does not measure 'kl'; expected one of loss, rewards/chosen");
  refused("preference", "best_by: rewards/margins", "objective causal_lm does not measure 'rewards/margins'");
  refused("preference", "objective: sequence_classification", "follows from model.head alone");
  refused("text", "objective: kto",
          "learns from answers with a 'label' (true or false), or from pairs, found format text");
}

}  // namespace lora::test
