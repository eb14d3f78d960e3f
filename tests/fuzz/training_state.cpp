// A checkpoint's files, of three runs: the input's first byte selects a run and a file, whose bytes are the rest of the
// input. What is read is written, and read and written to the same state.

#include "lora/checkpoints/training_state.h"

#include "lora/adapters/registry.h"
#include "tests/fuzz/target.h"
#include "tests/training/small_run.h"

namespace {

namespace fs = std::filesystem;

fs::path made_directory(const fs::path& path) {
  fs::create_directories(path);
  return path;
}

std::string bytes_of_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A step of a small model. Its checkpoint is in `directory`.
struct TrainedRun {
  TrainedRun(const lora::AdapterConfig& adapter, const lora::LabelNames& labels)
      : train(lora::test::make_dataset(5)),
        model(lora::load_pretrained(lora::test::golden_model("default"), "auto", {labels, 5})),
        adapted(lora::inject(model, adapter, 1)),
        directory(made_directory(lora::test::input_directory() / adapter.method)) {
    const lora::TrainingConfig config = lora::test::base_config();
    for (int64_t i = 0; !labels.empty() && i < 5; ++i) {
      lora::Sample sample{.ids = {1, 2, static_cast<int32_t>(i)}, .supervised = {0, 0, 1}, .label = i % 2 ? 1 : 0};
      if (i == 0) train = {};
      train.add(sample);
    }
    trainer = std::make_unique<lora::Trainer>(*model, config, lora::RowCursor(train, config, true), nullptr);
    if (auto hooks = lora::training_hooks(adapted, 6)) trainer->set_hooks(std::move(hooks));
    trainer->step();
    write(directory);
  }
  void write(const fs::path& to) { lora::write_training_state(to, adapted, *trainer, "base", ""); }
  void read(const fs::path& from) { lora::read_training_state(from, adapted, *trainer); }

  lora::Dataset train;
  std::shared_ptr<lora::LlamaForCausalLM> model;
  lora::AdaptedModel adapted;
  std::unique_ptr<lora::Trainer> trainer;
  fs::path directory;
};

lora::AdapterConfig small_adapter(const std::string& method) {
  lora::AdapterConfig adapter;
  adapter.method = method;
  adapter.rank = 4;
  adapter.adalora.target_r = 2;
  if (method == "full") return adapter;
  adapter.target_modules = std::vector<std::string>{"q_proj", "down_proj"};
  adapter.layers_to_transform = {0};  // few tensors: an input goes through all of them several times
  return adapter;
}

}  // namespace

FUZZ_TARGET(training_state) {
  static TrainedRun runs[] = {
      {small_adapter("lora"), {}}, {small_adapter("adalora"), {}}, {small_adapter("full"), {"even", "odd"}}};
  constexpr const char* kFiles[] = {
      "state.json",       "labels.json", "optimizer.safetensors", "method.safetensors", "adapter_model.safetensors",
      "model.safetensors"};
  if (input.empty()) return;
  const auto choice = static_cast<unsigned char>(input[0]);
  TrainedRun& run = runs[choice % std::size(runs)];
  const auto file = run.directory / kFiles[choice / std::size(runs) % std::size(kFiles)];
  const auto kept = run.directory / "kept";
  const bool exists = fs::exists(file);
  if (exists) fs::rename(file, kept);
  lora::test::write_input(file, input.substr(1));
  struct Restore {
    const fs::path &file, &kept;
    bool exists;
    ~Restore() {
      fs::remove(file);
      if (exists) fs::rename(kept, file);
    }
  } const restore{file, kept, exists};
  run.read(run.directory);
  const auto one = made_directory(run.directory / "one"), other = made_directory(run.directory / "other");
  run.write(one);
  try {
    run.read(one);
  } catch (const lora::Error&) {
    ::abort();
  }
  run.write(other);
  for (const char* name : {"state.json", "optimizer.safetensors"}) {
    if (bytes_of_file(one / name) != bytes_of_file(other / name)) ::abort();
  }
}
