// A checkpoint's directory: a byte that says what lies there beside state.json, its name up to a NUL, and the manifest.
// No manifest: there is none. A directory that can be listed has a manifest by which it is whole.

#include "lora/checkpoints/manifest.h"

#include <sys/stat.h>

#include "tests/fuzz/target.h"

namespace {

namespace fs = std::filesystem;

// A file, a directory with a file, a link to each, and a named pipe.
enum class Neighbour { kNone, kFile, kDirectory, kFileLink, kDirectoryLink, kPipe, kCount };

void put_neighbour(Neighbour kind, const fs::path& path) {
  if (kind == Neighbour::kFile) lora::test::write_input(path, "{}");
  if (kind == Neighbour::kDirectory && fs::create_directory(path)) lora::test::write_input(path / "part", "{}");
  if (kind == Neighbour::kFileLink) fs::create_symlink("state.json", path);
  if (kind == Neighbour::kDirectoryLink) fs::create_symlink("..", path);
  if (kind == Neighbour::kPipe && ::mkfifo(path.c_str(), 0600) != 0) ::abort();
}

}  // namespace

FUZZ_TARGET(manifest) {
  if (input.empty()) return;
  const auto kind = static_cast<Neighbour>(static_cast<unsigned char>(input[0]) % static_cast<int>(Neighbour::kCount));
  const auto [name, manifest] = lora::test::split_input(input.substr(1));
  const bool is_name = !name.empty() && name.size() < 100 && name.find('/') == name.npos && name != "." &&
                       name != ".." && name != "state.json" && name != "manifest.json";
  const fs::path directory = lora::test::input_directory() / "checkpoint";
  fs::remove_all(directory);
  fs::create_directory(directory);
  lora::test::write_input(directory / "state.json", "{}");
  if (is_name) put_neighbour(kind, directory / name);
  if (!manifest.empty()) lora::test::write_input(directory / "manifest.json", manifest);
  lora::find_damage(directory, 7);
  fs::remove(directory / "manifest.json");
  lora::write_manifest(directory, 7);
  if (lora::find_damage(directory, 7)) ::abort();
}
