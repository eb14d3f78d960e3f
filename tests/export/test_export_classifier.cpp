// A classifier's exports: TorchScript for rows of any length, and a Hugging Face directory that is a classifier again.

#include <ATen/ATen.h>
#include <torch/script.h>

#include "lora/adapters/inject.h"
#include "lora/adapters/peft.h"
#include "lora/export/export.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden_texts.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using nlohmann::json;

namespace {

// A language model that became a classifier, adapted and with fresh labels; or the golden classifier with its adapter.
struct TrainedClassifier {
  explicit TrainedClassifier(const std::string& name) : directory(golden_model(name)) {
    const bool golden = name.starts_with("classifier");
    const LabelNames labels = golden ? read_model_config(directory).labels : LabelNames{"a", "b", "\"c\""};
    model = load_pretrained(directory, "auto", {labels, 1});
    if (golden) {
      config = read_peft_config(directory / "adapter").config;
      config.init_from = (directory / "adapter").string();
    } else {
      config.target_modules = AllLinear{};
    }
    adapted = inject(model, config, 1);
    model->eval();
  }
  ExportSource source() const { return {adapted, directory, {}}; }

  std::filesystem::path directory;
  std::shared_ptr<LlamaForCausalLM> model;
  AdapterConfig config;
  AdaptedModel adapted;
};

}  // namespace

TEST_CASE("the TorchScript classifier gives the logits of padded rows and of rows of one length") {
  for (const std::string name : {"classifier", "classifier_qwen2"}) {
    const TemporaryDirectory directory;
    const GoldenTexts texts(name);
    const TrainedClassifier trained(name);
    export_as("torchscript", trained.source(), directory / "merged.pt");
    torch::jit::ExtraFilesMap extra = {{"config.json", ""}};
    torch::jit::Module loaded = torch::jit::load((directory / "merged.pt").string(), at::kCPU, extra);
    const auto rows = static_cast<int64_t>(texts.labels.size());
    const at::Tensor wanted = texts.logits("adapted");
    for (const int64_t filler : {0, 11}) {
      at::Tensor ids = at::full({rows, 20}, filler, at::kLong);
      int64_t begin = 0;
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t length = texts.batch.lengths[static_cast<size_t>(i)];
        ids[i].narrow(0, 0, length).copy_(texts.batch.input_ids.narrow(0, begin, length));
        begin += length;
        const at::Tensor alone = loaded.forward({ids[i].narrow(0, 0, length).unsqueeze(0)}).toTensor();
        CHECK(largest(alone[0] - wanted[i]) < 1e-5);
      }
      const at::Tensor found = loaded.forward({ids, at::tensor(texts.batch.lengths, at::kLong)}).toTensor();
      CHECK(largest(found - wanted) < 1e-5);
    }
    CHECK(json::parse(extra["config.json"])["id2label"].size() == static_cast<size_t>(wanted.size(1)));
  }
}

TEST_CASE("the Hugging Face directory of a classifier names its labels and loads as one") {
  for (const std::string name : {"default", "tied", "qwen2", "classifier"}) {
    DYNAMIC_SECTION(name) {
      const TemporaryDirectory directory;
      const TrainedClassifier trained(name);
      export_as("huggingface", trained.source(), directory / "merged");
      const json config = read_json(directory / "merged/config.json");
      const bool qwen2 = name == "qwen2";
      CHECK(config["architectures"] ==
            json{qwen2 ? "Qwen2ForSequenceClassification" : "LlamaForSequenceClassification"});
      CHECK(config["problem_type"] == "single_label_classification");
      CHECK(config["pad_token_id"].is_number_integer());
      const LabelNames labels = read_model_config(directory / "merged").labels;
      CHECK(labels == trained.model->config().labels);
      CHECK(config["label2id"][labels[2]] == 2);
      const auto again = load_pretrained(directory / "merged", "auto", {labels});
      const at::NoGradGuard no_grad;
      const at::Tensor ids = at::arange(3, 43, at::kLong).view({2, 20});
      const at::Tensor wanted = trained.model->forward(ids);
      CHECK(largest(again->forward(ids) - wanted) < 1e-5 * std::max(1.0, largest(wanted)));
    }
  }
}
