// A checkpoint's files, of which the input's first byte selects one: its bytes are the rest of the input.

#include "lora/checkpoints/training_state.h"

#include "tests/fuzz/target.h"
#include "tests/training/small_run.h"

namespace {

struct TrainedRun {
  TrainedRun() : fixture(lora::test::base_config()), directory(lora::test::input_directory()) {
    fixture.trainer->step();
    lora::write_training_state(directory, fixture.adapted, *fixture.trainer, "base", "");
  }
  lora::test::Fixture fixture;
  std::filesystem::path directory;
};

}  // namespace

FUZZ_TARGET(training_state) {
  static TrainedRun run;
  constexpr const char* kFiles[] = {"state.json", "labels.json", "optimizer.safetensors", "adapter_model.safetensors"};
  if (input.empty()) return;
  const auto file = run.directory / kFiles[static_cast<unsigned char>(input[0]) % std::size(kFiles)];
  const auto kept = run.directory / "kept";
  const bool exists = std::filesystem::exists(file);
  if (exists) std::filesystem::rename(file, kept);
  lora::test::write_input(file, input.substr(1));
  struct Restore {
    const std::filesystem::path &file, &kept;
    bool exists;
    ~Restore() {
      std::filesystem::remove(file);
      if (exists) std::filesystem::rename(kept, file);
    }
  } const restore{file, kept, exists};
  lora::read_training_state(run.directory, run.fixture.adapted, *run.fixture.trainer);
}
