#include "lora/checkpoints/training_state.h"

#include <algorithm>

#include "models/io/safetensors.h"
#include "tests/catch.h"
#include "tests/temporary_directory.h"
#include "tests/training/small_run.h"

namespace lora::test {

TEST_CASE("a checkpoint tells its bytes as they are written, up to those of all its tensors", "[checkpoints]") {
  const TemporaryDirectory directory;
  Fixture run(base_config());
  run.trainer->step();
  std::vector<int64_t> done;
  int64_t all = 0;
  write_training_state(directory.path(), run.adapted, *run.trainer, "base", "", [&](int64_t bytes, int64_t total) {
    done.push_back(bytes);
    all = total;
  });
  int64_t in_files = 0;
  for (const char* name : {"adapter_model.safetensors", "optimizer.safetensors"}) {
    const SafetensorsFile file(directory / name);
    for (const auto& [tensor, entry] : file.entries()) {
      in_files += static_cast<int64_t>(entry.end - entry.begin);
    }
  }
  CHECK(done.size() > 10);
  CHECK(std::ranges::is_sorted(done));
  CHECK(done.back() == in_files);
  CHECK(all == in_files);
}

}  // namespace lora::test
