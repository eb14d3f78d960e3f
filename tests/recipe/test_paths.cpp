// Where a recipe's paths lead: from the working directory, beside the recipe, from the home directory.

#include "lora/recipe/paths.h"

#include <cstdlib>

#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

// Another home for the time of a test.
class OtherHome {
 public:
  explicit OtherHome(const fs::path& home) : before_(std::getenv("HOME") ? std::getenv("HOME") : "") {
    ::setenv("HOME", home.c_str(), 1);
  }
  ~OtherHome() { ::setenv("HOME", before_.c_str(), 1); }

 private:
  std::string before_;
};

const std::string kPaths =
    "model: {path: lora-test-model}\n"
    "adapter: {init_from: lora-test-adapter}\n"
    "data:\n"
    "  train: [{path: lora-test-rows.jsonl}, {path: 'lora-test-*.jsonl', template: lora-test.jinja}, {path: '-'}]\n"
    "  validation: [{path: lora-test-rows.jsonl}]\n"
    "  template: lora-test.jinja\n"
    "training: {max_steps: 3}\n"
    "output_dir: lora-test-out\n";

TEST_CASE("a relative path that leads nowhere from the working directory is looked for beside the recipe") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", kPaths);
  const Recipe nowhere = load_recipe(directory / "a.yaml");
  CHECK(nowhere.model.path == "lora-test-model");
  CHECK(nowhere.data.train[1].path == "lora-test-*.jsonl");

  fs::create_directory(directory / "lora-test-model");
  fs::create_directory(directory / "lora-test-adapter");
  write_bytes(directory / "lora-test-rows.jsonl", "{}");
  write_bytes(directory / "lora-test.jinja", "{{ messages }}");
  fs::create_directory(directory / "lora-test-out");
  const Recipe recipe = load_recipe(directory / "a.yaml");
  const auto beside = [&](const std::string& name) { return (directory / name).string(); };
  CHECK(recipe.model.path == beside("lora-test-model"));
  CHECK(recipe.adapter.init_from == beside("lora-test-adapter"));
  CHECK(recipe.data.train[0].path == beside("lora-test-rows.jsonl"));
  CHECK(recipe.data.train[1].path == beside("lora-test-*.jsonl"));
  CHECK(recipe.data.train[1].chat_template == beside("lora-test.jinja"));
  CHECK(recipe.data.train[2].path == "-");
  CHECK(recipe.data.validation[0].path == beside("lora-test-rows.jsonl"));
  CHECK(recipe.data.chat_template == beside("lora-test.jinja"));
  CHECK(recipe.output_dir == "lora-test-out");
  CHECK_NOTHROW(load_recipes_to_run(directory / "a.yaml"));
  // What the recipe is written out as leads to the same places from anywhere.
  const TemporaryDirectory elsewhere;
  write_bytes(elsewhere / "a.yaml", to_yaml(recipe));
  CHECK(load_recipe(elsewhere / "a.yaml") == recipe);
}

TEST_CASE("what is found from the working directory stays as it is written") {
  // The tests run in the source directory, where recipes/quickstart is.
  const TemporaryDirectory directory;
  fs::create_directories(directory / "recipes/quickstart/model");
  write_bytes(directory / "a.yaml", kMinimal);
  CHECK(load_recipe(directory / "a.yaml", {"model.path=recipes/quickstart/model"}).model.path ==
        "recipes/quickstart/model");
}

TEST_CASE("a path with ~/ at its front is in the home directory") {
  const TemporaryDirectory home;
  const OtherHome other(home.path());
  const Recipe recipe = load_text(kMinimal, {"model.path=~/model", "data.train.0.path=~/*.jsonl", "output_dir=~/runs/a",
                                             "data.cache_dir=~/cache", "data.template=~/a.jinja"});
  const std::string at = home.path().string();
  CHECK(recipe.model.path == at + "/model");
  CHECK(recipe.data.train[0].path == at + "/*.jsonl");
  CHECK(recipe.output_dir == at + "/runs/a");
  CHECK(recipe.data.cache_dir == at + "/cache");
  CHECK(recipe.data.chat_template == at + "/a.jinja");
  CHECK(load_text(kMinimal, {"model.path=a~/b"}).model.path == "a~/b");
}

TEST_CASE("paths that lead nowhere are all named, with the absolute paths that were tried") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", kPaths);
  write_bytes(directory / "lora-test-row.jsonl", "{}");
  const std::string here = fs::current_path().string() + "/", there = directory.path().string() + "/";
  const auto tried = [&](const std::string& name, const std::string& key) {
    return "; looked for " + here + name + " and " + there + name + " (" + key + ")";
  };
  const std::string file = there + "a.yaml:";
  try {
    load_recipes_to_run(directory / "a.yaml");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kRecipe);  // of the template
    const std::string message = error.what();
    CHECK_THAT(message, Catch::Matchers::StartsWith("[model] " + file + "1:15: lora-test-model: no such directory"));
    CHECK_THAT(message, Contains(tried("lora-test-model", "model.path")));
    CHECK_THAT(message, Contains("\n[model] " + file + "2:22: lora-test-adapter: no such directory"));
    CHECK_THAT(message, Contains(": lora-test.jinja: no such file" + tried("lora-test.jinja", "data.template")));
    CHECK_THAT(message, Contains(": lora-test-rows.jsonl: no such file (did you mean 'lora-test-row.jsonl'?)" +
                                 tried("lora-test-rows.jsonl", "data.train.0.path")));
  }
  // The pattern matches lora-test-row.jsonl beside the recipe.
  CHECK(load_recipe(directory / "a.yaml").data.train[1].path == there + "lora-test-*.jsonl");
}

TEST_CASE("a missing path alone ends with the exit code of its kind") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", kMinimal);
  write_bytes(directory / "rows.jsonl", "{}");
  const auto code_of = [&](const Overrides& overrides) {
    try {
      load_recipes_to_run(directory / "a.yaml", overrides);
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::kDone;
  };
  const std::string model = "model.path=recipes/quickstart/model", rows = "data.train.0.path=rows.jsonl";
  CHECK(code_of({model, rows}) == ExitCode::kDone);
  CHECK(code_of({model}) == ExitCode::kData);
  CHECK(code_of({rows}) == ExitCode::kModel);
  CHECK(code_of({model, "training.batch_size=0"}) == ExitCode::kRecipe);
}

TEST_CASE("a misspelt file name is answered with the nearest one") {
  const TemporaryDirectory directory;
  write_bytes(directory / "train.jsonl", "{}");
  write_bytes(directory / "a.yaml", with_line(kMinimal, 7, "    - {path: trian.jsonl}"));
  try {
    load_recipes_to_run(directory / "a.yaml", {"model.path=recipes/quickstart/model"});
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kData);
    CHECK_THAT(error.what(), Contains("trian.jsonl: no such file (did you mean 'train.jsonl'?); looked for"));
  }
}

TEST_CASE("two names of one file make no other run") {
  const TemporaryDirectory directory;
  write_bytes(directory / "train.jsonl", "{}");
  fs::create_symlink(directory / "train.jsonl", directory / "link.jsonl");
  const auto with = [&](const std::string& path) { return load_text(kMinimal, {"data.train.0.path=" + path}); };
  const Recipe recipe = with((directory / "train.jsonl").string());
  CHECK(differing_keys(recipe, with((directory / "link.jsonl").string())).empty());
  CHECK(differing_keys(recipe, with((directory / "x/../train.jsonl").string())) ==
        std::vector<std::string>{"data.train"});  // there is no x
  CHECK(differing_keys(recipe, with((directory / "other.jsonl").string())) == std::vector<std::string>{"data.train"});
}

}  // namespace
}  // namespace lora::test
