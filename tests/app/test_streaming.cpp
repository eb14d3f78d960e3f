// data.streaming, from outside: the same weights as without it, and across a stop.

#include <zlib.h>

#include "tests/app/runs.h"
#include "tests/catch.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

struct Streaming {
  TemporaryDirectory directory;
  std::string recipe(const std::string& path, const std::string& data) const {
    write_bytes(directory / "recipe.yaml", "model: {path: " + (source_dir() / "recipes/quickstart/model").string() +
                                               R"(, dtype: float32}
adapter: {method: lora, rank: 2, alpha: 4, target_modules: [q_proj]}
training: {max_steps: 6, batch_size: 2, max_length: 64, learning_rate: 1.0e-3, checkpoint_every: 2}
export: [peft]
output_dir: )" + (directory / "run").string() + "\ndata: {train: [{path: '" +
                                               path + "', format: completion}], " + data + "}\n");
    return (directory / "recipe.yaml").string();
  }
  std::string adapter() const { return read_bytes(directory / "run/adapter/adapter_model.safetensors"); }
  Outcome train(const std::vector<std::string>& more = {}, const std::string& input = "") const {
    std::vector<std::string> arguments = {"lora-train", (directory / "recipe.yaml").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    if (std::ranges::count(more, "--resume") == 0) fs::remove_all(directory / "run");
    return run(arguments, input);
  }
};

}  // namespace

TEST_CASE("a stream trains as the whole data does where it fits a window, packed files and standard input too") {
  const Streaming test;
  const std::string plain = (test.directory / "a.jsonl").string(), packed = plain + ".gz";
  write_bytes(plain, counting_rows(100));
  gzFile file = ::gzopen(packed.c_str(), "wb");
  ::gzputs(file, counting_rows(100).c_str());
  ::gzclose(file);
  test.recipe(plain, "cache_dir: null");
  REQUIRE(test.train().exit_code == 0);
  const std::string wanted = test.adapter();
  for (const std::string& path : {plain, packed, std::string("-")}) {
    test.recipe(path, "streaming: true");
    const Outcome outcome = test.train({}, counting_rows(100));
    CAPTURE(path, outcome.err);
    REQUIRE(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Contains("Training    streamed, 10,000 samples at a time; first 100 samples"));
    CHECK((test.adapter() == wanted));
    CHECK(!fs::exists(test.directory / "cache"));
  }
}

TEST_CASE("a stream that was stopped resumes with the same bits, and not with other data") {
  const Streaming test;
  const std::string data = (test.directory / "a.jsonl").string();
  write_bytes(data, counting_rows(40));
  test.recipe(data, "streaming: true, shuffle_buffer: 7");
  // More steps than one pass has.
  REQUIRE(test.train({"training.max_steps=24", "training.lr_schedule=constant", "training.packing=false"}).exit_code ==
          0);
  const std::string wanted = test.adapter();
  REQUIRE(test.train({"training.max_steps=22", "training.lr_schedule=constant", "training.packing=false"}).exit_code ==
          0);
  CHECK((test.adapter() != wanted));
  const std::vector<std::string> on = {"--resume", "training.max_steps=24", "training.lr_schedule=constant",
                                       "training.packing=false"};
  for (const std::string& other :
       {counting_rows(39) + counting_rows(1), counting_rows(40) + counting_rows(1), counting_rows(3)}) {
    write_bytes(data, other);
    const Outcome changed = test.train(on);
    CHECK(changed.exit_code == 3);
    CHECK_THAT(changed.err, Contains("a.jsonl: found ") && Contains("expected what the checkpoint was trained on"));
  }
  write_bytes(data, counting_rows(40));
  const Outcome same = test.train(on);
  CAPTURE(same.err);
  REQUIRE(same.exit_code == 0);
  CHECK_THAT(same.out, Contains("Resuming after step 22"));
  CHECK((test.adapter() == wanted));
}

TEST_CASE("where standard input ends before max_steps, so does the run, with its checkpoint and exports") {
  const Streaming test;
  test.recipe("-", "streaming: true, shuffle_buffer: 3");
  const Outcome ended = test.train({"training.packing=false"}, counting_rows(7));
  CAPTURE(ended.err);
  CHECK(ended.exit_code == 0);
  CHECK_THAT(ended.out, Contains("The training data ended after step 5 of 6"));
  CHECK(fs::exists(test.directory / "run/checkpoints/step-000005"));
  CHECK(!test.adapter().empty());
  const Outcome again = test.train({"training.packing=false", "--resume"}, counting_rows(7));
  CHECK_THAT(again.out, Contains("Resuming after step 5") && Contains("ended after step 5 of 6"));
}
