// A checkpoint's manifest, beside one of the files that it may name.

#include "lora/checkpoints/manifest.h"

#include "tests/fuzz/target.h"

FUZZ_TARGET(manifest) {
  const auto& directory = lora::test::input_directory();
  static const bool made = (lora::test::write_input(directory / "state.json", "{}"), true);
  lora::test::write_input(directory / "manifest.json", input);
  if (made) lora::find_damage(directory, 7);
}
