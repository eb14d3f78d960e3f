// The bits of a run do not depend on how many processes train it.

#include "lora/distributed/launcher.h"
#include "tests/distributed/cluster.h"

using namespace lora;
using namespace lora::test;

namespace {

// The run of one process that nobody launched, then the same on several: every checkpoint and every row of metrics.
void check_on(const std::vector<int>& counts, const std::string& changes, const std::vector<std::string>& overrides,
              const std::vector<std::string>& names = {""}, int64_t step = 6) {
  if (!has_mpi()) return;
  const TemporaryDirectory directory;
  std::vector<std::string> arguments = {cluster_recipe(directory, changes)};
  arguments.insert(arguments.end(), overrides.begin(), overrides.end());
  std::vector<std::string> alone = arguments;
  alone.insert(alone.begin(), "lora-train");
  const Outcome whole = run(alone);
  CAPTURE(whole.err);
  REQUIRE(whole.exit_code == 0);
  for (const int count : counts) {
    const std::filesystem::path output = directory / ("run" + std::to_string(count));
    std::vector<std::string> more = arguments;
    more.push_back("output_dir=" + output.string());
    const Outcome outcome = run(on_processes(count, more));
    CAPTURE(count, outcome.err);
    REQUIRE(outcome.exit_code == 0);
    for (const std::string& name : names) {
      CAPTURE(name);
      check_same_bits(output / name, directory / "run" / name, step);
    }
  }
}

// Every method, on rows of one data set.
std::string all_methods() {
  std::string text = "adapters:\n";
  for (const char* adapter : {"{name: lora, adapter: {rank: 4}}", "{name: dora, adapter: {method: dora, rank: 4}}",
                              "{name: fa, adapter: {method: lora_fa, rank: 4}}",
                              "{name: ada, adapter: {method: adalora, rank: 6, adalora: {target_r: 3, tinit: 1, "
                              "tfinal: 1, delta_t: 1}}}"}) {
    text += "  - " + std::string(adapter) + "\n";
    text.insert(text.size() - 2,
                ", data: {train: [{path: " + (quickstart() / "data/train.jsonl").string() + ", format: completion}]}");
  }
  return text;
}

const std::vector<std::string> kMethods = {"lora", "dora", "fa", "ada"};

}  // namespace

TEST_CASE("two, three and four processes give the bits of one, with dropout, packing and eight passes a step") {
  check_on({2, 3, 4}, "", {});
}

TEST_CASE("every method, as adapters of one run on a quantized base, has the same bits on two processes") {
  check_on({2}, all_methods(), {"data.train=null", "model.quantization=nf4"}, kMethods);
}

TEST_CASE("a preference run with a shared part, a reference and answers has the same bits on two processes") {
  const std::filesystem::path data = quickstart() / "data";
  check_on({2}, "evaluation: {exact_match: 40, max_new_tokens: 4}\n",
           {"training.objective=kto", "training.max_length=256", "training.batch_size=4",
            "data.train=[{path: " + (data / "pairs-train.jsonl").string() + ", format: preference}]",
            "data.validation=[{path: " + (data / "pairs-validation.jsonl").string() + ", format: preference}]"});
}

TEST_CASE("a classifier's evaluation is that of one process") {
  const std::filesystem::path data = quickstart() / "data";
  check_on({2}, "",
           {"model.head=sequence_classification", "data.train=[{path: " + (data / "topics-train.jsonl").string() + "}]",
            "data.validation=[{path: " + (data / "topics-validation.jsonl").string() + "}]"});
}

TEST_CASE("full fine-tuning adds in plain order: the losses agree within 1e-6") {
  if (!has_mpi()) return;
  const TemporaryDirectory directory;
  const std::string recipe = cluster_recipe(directory), full = "adapter={method: full}";
  REQUIRE(run({"lora-train", recipe, full}).exit_code == 0);
  const Outcome outcome = run(on_processes(2, {recipe, full, "output_dir=" + (directory / "two").string()}));
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Catch::Matchers::Contains("the network is trained whole: bits depend on their number"));
  const auto one = metrics(directory / "run"), two = metrics(directory / "two");
  REQUIRE(one.size() == two.size());
  for (size_t i = 0; i < one.size(); ++i) {
    if (!one[i].contains("loss")) continue;
    CHECK(two[i]["loss"].get<double>() == Approx(one[i]["loss"].get<double>()).epsilon(1e-6));
  }
}

TEST_CASE("adapters that are dealt out to processes have the bits of one run of them all", "[.long]") {
  for (const int count : {3, 6}) {
    CAPTURE(count);
    check_on({count}, all_methods(), {"data.train=null", "distributed.by=adapters"}, kMethods);
  }
}

TEST_CASE("streamed rows have the same bits on two processes") {
  check_on({2}, "", {"data.streaming=true", "data.shuffle_buffer=100", "data.validation=[]"});
}

TEST_CASE("each method alone has the same bits on two, four and eight processes", "[.long]") {
  for (const std::vector<std::string>& method : std::vector<std::vector<std::string>>{
           {"adapter.method=lora"},
           {"adapter.method=lora", "training.packing=false", "training.micro_batch_size=1"},
           {"adapter.method=dora"},
           {"adapter.method=lora_fa"},
           {"adapter.method=adalora", "adapter.adalora={target_r: 2, tinit: 1, tfinal: 1, delta_t: 1}"},
           {"adapter.method=lora", "model.quantization=nf4", "model.dtype=bfloat16"}}) {
    CAPTURE(method);
    check_on({2, 4, 8}, "", method, {""}, 6);
  }
}
