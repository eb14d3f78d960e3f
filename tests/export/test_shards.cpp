// The Hugging Face directory in several files: every tensor in one of them, none above the limit but a tensor alone.

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "lora/adapters/merged.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/export/trained_model.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_directory.h"

#include "models/base/error.h"
#include "tests/compare.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;

TEST_CASE("a Hugging Face directory above max_shard_size is files of that size with an index, and the same model") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  ExportSource source = trained.source();
  source.options.max_shard_size = 8000;
  export_as("huggingface", source, directory / "merged");
  CHECK_FALSE(fs::exists(directory / "merged/model.safetensors"));
  const nlohmann::json index = read_json(directory / "merged/model.safetensors.index.json");
  std::map<std::string, int64_t> sizes;
  int64_t total = 0;
  for (const LazyTensor& tensor : merged_tensors(*trained.model)) {
    REQUIRE(index["weight_map"].contains(tensor.name));
    const std::string file = index["weight_map"][tensor.name];
    CHECK(SafetensorsFile(directory / "merged" / file).contains(tensor.name));
    const auto bytes = static_cast<int64_t>(tensor.bytes());
    if (bytes <= 8000) sizes[file] += bytes;
    total += bytes;
  }
  CHECK(index["metadata"]["total_size"] == total);
  CHECK(sizes.size() > 2);
  for (const auto& [file, size] : sizes) {
    CHECK(size <= 8000);
    CHECK(file.ends_with(".safetensors"));
  }
  const auto again = load_pretrained(directory / "merged", "auto");
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::arange(3, 43, at::kLong).view({2, 20});
  CHECK(relative_to_largest(again->forward(ids), trained.logits(ids)) < 1e-5);
}

TEST_CASE("an export tells the bytes that are written, and then that it is checked") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  for (const char* format : {"huggingface", "torchscript", "torchscript-int8"}) {
    CAPTURE(format);
    ExportSource source = trained.source();
    source.options.huggingface_beside = false;
    std::vector<std::pair<int64_t, int64_t>> told;
    int checks = 0;
    source.on_bytes = [&](int64_t done, int64_t total) {
      CHECK(checks == 0);
      told.emplace_back(done, total);
    };
    source.on_check = [&] {
      ++checks;
      CHECK(told.back().first == told.back().second);
    };
    export_as(format, source, directory / format);
    CHECK(checks == 1);
    CHECK(told.size() > 5);
    CHECK(std::ranges::is_sorted(told));
  }
}

TEST_CASE("what Hugging Face's tools read beside the weights is carried along") {
  const TemporaryDirectory directory;
  Trained trained("default");
  fs::copy(trained.directory, directory / "base");
  write_bytes(directory / "base/generation_config.json", R"({"eos_token_id": [2, 3]})");
  write_bytes(directory / "base/chat_template.jinja", "{{ messages }}");
  trained.directory = directory / "base";
  export_as("huggingface", trained.source(), directory / "merged");
  for (const char* name : {"generation_config.json", "chat_template.jinja"}) {
    CHECK(read_bytes(directory / "merged" / name) == read_bytes(directory / "base" / name));
  }
}

TEST_CASE("a Hugging Face export onto a full disk leaves the earlier one and nothing else") {
  const TemporaryDirectory directory;
  const Trained trained("default");
  export_as("huggingface", trained.source(), directory / "merged");
  const std::string before = read_bytes(directory / "merged/model.safetensors");
  {
    const FileSizeLimit limit(4096);
    CHECK_THROWS_AS(export_as("huggingface", trained.source(), directory / "merged"), StorageError);
  }
  CHECK(read_bytes(directory / "merged/model.safetensors") == before);
  CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("one merged tensor at a time is in memory while a directory is written") {
  const TemporaryDirectory directory;
  int64_t alive = 0, most = 0;
  std::vector<LazyTensor> tensors;
  for (int i = 0; i < 20; ++i) {
    tensors.push_back({"t" + std::to_string(i), at::kFloat, {64}, [&] {
                         most = std::max(most, ++alive);
                         return at::from_blob(new float[64](), {64}, [&](void* data) {
                           --alive;
                           delete[] static_cast<float*>(data);
                         });
                       }});
  }
  stream_safetensors(directory / "a.safetensors", tensors);
  CHECK(most == 1);
  CHECK(alive == 0);
}
