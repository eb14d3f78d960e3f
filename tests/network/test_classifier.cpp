// The network as a classifier: transformers' …ForSequenceClassification, and what a fresh head is.

#include <ATen/ATen.h>

#include "models/base/error.h"
#include "models/network/labels.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden.h"
#include "tests/golden_texts.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::shared_ptr<LlamaForCausalLM> load_classifier(const std::string& name) {
  return load_pretrained(golden_model(name), "auto", {read_model_config(golden_model(name)).labels});
}

// A copy of the golden classifier's directory whose config.json went through `change`.
void copy_changed(const fs::path& to, const std::function<void(json&)>& change) {
  json config = read_json(golden_model("classifier") / "config.json");
  change(config);
  write_bytes(to / "config.json", config.dump());
  fs::copy_file(golden_model("classifier") / "model.safetensors", to / "model.safetensors",
                fs::copy_options::overwrite_existing);
}

}  // namespace

TEST_CASE("logits and loss equal those of transformers' classifiers") {
  for (const std::string name : {"classifier", "classifier_qwen2"}) {
    DYNAMIC_SECTION(name) {
      const at::NoGradGuard no_grad;
      const GoldenTexts texts(name);
      const auto model = load_classifier(name);
      const at::Tensor logits = model->logits_at(texts.batch, texts.ends);
      CHECK((logits - texts.logits("plain")).abs().max().item<double>() < 1e-5);
      const double loss = model->loss_sum(texts.batch, texts.targets).item<double>();
      CHECK(loss / 5 == Approx(texts.loss("plain")).epsilon(1e-5));
    }
  }
}

TEST_CASE("labels are read from config.json, two without names where it has none") {
  CHECK(read_model_config(golden_model("classifier")).labels == LabelNames{"low", "high", "none"});
  CHECK(read_model_config(golden_model("classifier_qwen2")).labels == LabelNames{"LABEL_0", "LABEL_1"});
  CHECK(read_model_config(golden_model("default")).labels.empty());
}

TEST_CASE("a fresh head is drawn from the seed, and the language model's is left") {
  const LabelNames labels = {"a", "b", "c", "d"};
  for (const std::string name : {"default", "tied"}) {
    const auto model = load_pretrained(golden_model(name), "auto", {labels, 7});
    REQUIRE(model->score);
    CHECK_FALSE(model->lm_head);
    const at::Tensor weight = model->score->weight_matrix();
    CHECK(weight.sizes() == at::IntArrayRef({4, 16}));
    CHECK(weight.std().item<double>() == Approx(0.02).epsilon(0.3));
    CHECK(weight.equal(load_pretrained(golden_model(name), "auto", {labels, 7})->score->weight_matrix()));
    CHECK_FALSE(weight.equal(load_pretrained(golden_model(name), "auto", {labels, 8})->score->weight_matrix()));
    CHECK(model->forward(at::ones({2, 3}, at::kLong)).sizes() == at::IntArrayRef({2, 3, 4}));
  }
  CHECK(make_random(golden_model("default"), "auto", 1, labels)->score->out_features() == 4);
}

TEST_CASE("a classifier is not a language model, and keeps its number of labels") {
  CHECK_THROWS_WITH(load_pretrained(golden_model("classifier"), "auto"),
                    Contains("classifier of 3 labels") && Contains("expected a language model"));
  CHECK_THROWS_WITH(load_pretrained(golden_model("classifier"), "auto", {{"a", "b"}}),
                    Contains("'score.weight' is [3, 16]; expected [2, 16] by config.json"));
}

TEST_CASE("labels that make no sense are refused by name") {
  const TemporaryDirectory directory;
  const auto read = [&](const std::function<void(json&)>& change) {
    copy_changed(directory.path(), change);
    return read_model_config(directory.path());
  };
  CHECK_THROWS_WITH(read([](json& c) { c["id2label"] = {{"0", "a"}, {"2", "b"}}; }), Contains("has no \"1\""));
  CHECK_THROWS_WITH(read([](json& c) { c["id2label"] = {{"0", "a"}, {"1", "a"}}; }), Contains("two ids the name 'a'"));
  CHECK_THROWS_WITH(read([](json& c) { c["id2label"] = json::object(); }), Contains("names no label"));
  CHECK_THROWS_WITH(read([](json& c) { c["id2label"] = {{"0", "a"}, {"1", 5}}; }), Contains("the name 5"));
  CHECK_THROWS_WITH(read([](json& c) { c["id2label"] = 3; }), Contains("'id2label' is number"));
  CHECK_THROWS_WITH(read([](json& c) { c["problem_type"] = "regression"; }),
                    Contains("'problem_type' is 'regression'"));
}

TEST_CASE("labels.json is read as it was written, and damage is an error") {
  const TemporaryDirectory directory;
  CHECK(read_labels(directory.path()).empty());
  write_labels(directory.path(), {});
  CHECK_FALSE(fs::exists(directory / "labels.json"));
  const LabelNames names = {"zwei", "\"eins\"", "é 🙂"};
  write_labels(directory.path(), names);
  CHECK(read_labels(directory.path()) == names);
  CHECK(read_json(directory / "labels.json")["label2id"]["zwei"] == 0);
  for (const std::string bytes : {"", "[]", "{\"label2id\": {}}", "{\"id2label\": [\"a\", \"b\"]}", "{\"id2la"}) {
    write_bytes(directory / "labels.json", bytes);
    CHECK_THROWS_AS(read_labels(directory.path()), ModelError);
  }
}
