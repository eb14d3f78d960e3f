#include "models/base/did_you_mean.h"

#include "tests/catch.h"

namespace lora {
namespace {

using Strings = std::vector<std::string>;

TEST_CASE("an edit is an insertion, a deletion, a replacement or a swap of neighbours") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("rank", "rank") == 0);
  CHECK(edit_distance("", "rank") == 4);
  CHECK(edit_distance("rank", "") == 4);
  CHECK(edit_distance("rank", "rnak") == 1);
  CHECK(edit_distance("rank", "ranks") == 1);
  CHECK(edit_distance("rank", "rak") == 1);
  CHECK(edit_distance("rank", "tank") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ca", "abc") == 3);  // no byte is edited twice
}

TEST_CASE("the distance is the same both ways and keeps the triangle inequality") {
  const Strings words = {"", "a", "ab", "ba", "alpha", "aplha", "alpah", "q_proj", "k_proj", "proj_q", "rank"};
  for (const auto& a : words) {
    for (const auto& b : words) {
      CHECK(edit_distance(a, b) == edit_distance(b, a));
      CHECK((edit_distance(a, b) == 0) == (a == b));
    }
  }
}

TEST_CASE("the nearest name is offered, and none that is far") {
  const Strings names = {"rank", "alpha", "target_modules"};
  CHECK(did_you_mean("rnak", names) == " (did you mean 'rank'?)");
  CHECK(did_you_mean("target_modlues", names) == " (did you mean 'target_modules'?)");
  CHECK(did_you_mean("xyzzy", names) == "");
  CHECK(did_you_mean("", names) == "");
  CHECK(did_you_mean("rank", {}) == "");
  CHECK(did_you_mean("ab", {"xy", "ax"}) == "");  // half of a short word is not enough
}

TEST_CASE("case and hyphens do not count") {
  CHECK(did_you_mean("All_Linear", {"all-linear"}) == " (did you mean 'all-linear'?)");
  CHECK(nearest_names("Q_PROJ", {"q_proj", "k_proj"}) == Strings{"q_proj"});
}

TEST_CASE("several names come nearest first, equals in their given order, none twice") {
  CHECK(nearest_names("q_prj", {"o_proj", "k_proj", "q_proj", "q_proj", "mlp"}, 3) ==
        Strings{"q_proj", "o_proj", "k_proj"});
  CHECK(nearest_names("q_prj", {"o_proj", "q_proj"}, 0).empty());
}

}  // namespace
}  // namespace lora
