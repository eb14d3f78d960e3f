#include "lora/checkpoints/manifest.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kManifest[] = "manifest.json";

// Refuses a name that leads out of the checkpoint: an edited manifest must not vouch for another file.
bool stays_inside(const fs::path& name) {
  return !name.empty() && name.is_relative() && *name.lexically_normal().begin() != "..";
}

std::optional<std::string> file_damage(const fs::path& directory, const std::string& name, const json& expected) {
  if (!stays_inside(name)) return name + ": the manifest names a file outside the checkpoint";
  std::error_code error;
  const fs::path path = directory / name;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) return name + ": missing";
  if (!fs::is_regular_file(status)) return name + ": not a regular file";
  const auto size = fs::file_size(path, error);
  const auto expected_size = integer_of<uint64_t>(expected.at("size"));
  if (error) return name + ": " + error.message();
  if (size != expected_size) {
    return name + ": found " + std::to_string(size) + " bytes, expected " + std::to_string(expected_size);
  }
  if (sha256_of_file(path) != expected.at("sha256").get_ref<const std::string&>()) {
    return name + ": its SHA-256 is not the one in the manifest";
  }
  return std::nullopt;
}

bool is_plain_file(const fs::directory_entry& item) { return item.is_regular_file() && !item.is_symlink(); }

}  // namespace

void write_manifest(const fs::path& directory, int64_t step, const OnBytes& on_bytes) try {
  int64_t done = 0, total = 0;
  for (const auto& item : fs::recursive_directory_iterator(directory)) {
    if (is_plain_file(item)) total += static_cast<int64_t>(item.file_size());
  }
  const auto on_piece = [&](size_t bytes) {
    if (on_bytes) on_bytes(done += static_cast<int64_t>(bytes), total);
  };
  json files = json::object();
  for (const auto& item : fs::recursive_directory_iterator(directory)) {
    const fs::path name = item.path().lexically_relative(directory);
    if (item.is_directory() && !item.is_symlink()) {
      sync_directory(item.path());
    } else if (is_plain_file(item)) {
      sync_file(item.path());
      files[name.generic_string()] = {{"size", item.file_size()}, {"sha256", sha256_of_file(item.path(), on_piece)}};
    } else {
      throw StorageError(item.path().string() + ": a checkpoint holds regular files and directories only");
    }
  }
  const json manifest = {{"format_version", kCheckpointFormat}, {"step", step}, {"files", files}};
  write_file_atomically(directory / kManifest, manifest.dump(2) + "\n");
} catch (const fs::filesystem_error& error) {
  throw_storage_error(directory, "read", error.code().value());
} catch (const json::exception&) {
  throw StorageError(directory.string() + ": found a file name that is not UTF-8 text");
}

std::optional<std::string> find_damage(const fs::path& directory, int64_t step) try {
  std::error_code error;
  if (!fs::exists(directory / kManifest, error) && !error) return std::string(kManifest) + ": missing";
  const json manifest = parse_json<json>(read_stored_file(directory / kManifest));
  const auto version = integer_of(manifest.at("format_version"));
  if (version != kCheckpointFormat) {
    return std::string(kManifest) + ": found format_version " + std::to_string(version) + ", expected " +
           std::to_string(kCheckpointFormat);
  }
  if (integer_of(manifest.at("step")) != step) return std::string(kManifest) + ": of another step";
  const json& files = manifest.at("files");
  if (!files.is_object()) return std::string(kManifest) + ": not a manifest";
  for (const auto& [name, expected] : files.items()) {
    if (auto damage = file_damage(directory, name, expected)) return damage;
  }
  return std::nullopt;
} catch (const json::exception&) {
  return std::string(kManifest) + ": not a manifest";
} catch (const StorageError& error) {
  return error.what();
}

}  // namespace lora
