#include "lora/checkpoints/store.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "lora/checkpoints/manifest.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStep = "step-";
constexpr std::string_view kTemporary = ".tmp-";
constexpr std::string_view kTrash = ".trash-";

std::string directory_name(int64_t step) {
  const std::string digits = std::to_string(step);
  return std::string(kStep) + std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

// Accepts only names that directory_name() produces: 'step-50' is not the checkpoint 'step-000050'.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStep)) return std::nullopt;
  int64_t step = -1;
  const auto result = std::from_chars(name.data() + kStep.size(), name.data() + name.size(), step);
  if (result.ec != std::errc() || step < 0 || directory_name(step) != name) return std::nullopt;
  return step;
}

void remove_directory(const fs::path& directory) {
  std::error_code error;
  fs::remove_all(directory, error);
  if (error) throw_storage_error(directory, "remove", error.value());
}

// Removes the temporary directory if a write fails.
struct Cleanup {
  fs::path directory;
  ~Cleanup() {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  }
};

}  // namespace

CheckpointStore::CheckpointStore(const fs::path& run_directory) : root_(run_directory / "checkpoints") {}

std::vector<int64_t> CheckpointStore::steps() const try {
  std::vector<int64_t> steps;
  if (!fs::exists(root_)) return steps;
  for (const auto& item : fs::directory_iterator(root_)) {
    const auto step = step_of(item.path().filename().string());
    if (step && item.is_directory()) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
} catch (const fs::filesystem_error& error) {
  throw_storage_error(root_, "read", error.code().value());
}

fs::path CheckpointStore::directory(int64_t step) const { return root_ / directory_name(step); }

fs::path CheckpointStore::write(int64_t step, const std::function<void(const fs::path&)>& fill,
                                const OnBytes& on_bytes) {
  std::error_code error;
  fs::create_directories(root_, error);
  if (error) throw_storage_error(root_, "create", error.value());
  // Also where it was there already: its maker may have been killed before this.
  const fs::path run = root_.parent_path();
  sync_directory(run.empty() ? fs::path(".") : run);
  remove_leftovers();

  const std::string suffix = directory_name(step) + "-" + std::to_string(::getpid());
  const Cleanup temporary{root_ / (std::string(kTemporary) + suffix)};
  if (!fs::create_directory(temporary.directory, error)) {
    throw_storage_error(temporary.directory, "create", error.value());
  }
  fill(temporary.directory);
  write_manifest(temporary.directory, step, on_bytes);

  const fs::path place = directory(step);
  const fs::path trash = root_ / (std::string(kTrash) + suffix);
  if (fs::exists(place, error)) {
    exchange_directories(temporary.directory, place, trash);
  } else {
    rename_path(temporary.directory, place);
  }
  sync_directory(root_);
  known_whole_.insert(step);
  remove_directory(trash);
  return place;
}

NewestCheckpoint CheckpointStore::newest_whole() {
  NewestCheckpoint newest;
  const auto all = steps();
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    auto reason = damage(*step);
    if (!reason) {
      newest.checkpoint = Checkpoint{*step, directory(*step)};
      break;
    }
    newest.skipped.push_back({directory(*step), *reason});
  }
  return newest;
}

fs::path CheckpointStore::verified(int64_t step) {
  known_whole_.erase(step);
  if (const auto reason = damage(step)) {
    throw StorageError(directory(step).string() + ": damaged checkpoint: " + *reason);
  }
  return directory(step);
}

void CheckpointStore::prune(int64_t keep_newest, const std::vector<int64_t>& protected_steps) {
  remove_leftovers();
  int64_t left = std::max<int64_t>(keep_newest, 1);
  const auto all = steps();
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    if (damage(*step)) continue;
    if (left-- > 0) continue;
    if (std::find(protected_steps.begin(), protected_steps.end(), *step) != protected_steps.end()) continue;
    // Renamed first, so that a partly removed directory never has a checkpoint's name.
    const fs::path trash = root_ / (std::string(kTrash) + directory_name(*step) + "-" + std::to_string(::getpid()));
    rename_path(directory(*step), trash);
    sync_directory(root_);
    known_whole_.erase(*step);
    remove_directory(trash);
  }
}

std::optional<std::string> CheckpointStore::damage(int64_t step) {
  if (known_whole_.count(step) != 0) return std::nullopt;
  auto reason = find_damage(directory(step), step);
  if (!reason) known_whole_.insert(step);
  return reason;
}

void CheckpointStore::remove_leftovers() const try {
  if (!fs::exists(root_)) return;
  std::vector<fs::path> leftovers;
  for (const auto& item : fs::directory_iterator(root_)) {
    const std::string name = item.path().filename().string();
    if (name.starts_with(kTemporary) || name.starts_with(kTrash)) leftovers.push_back(item.path());
  }
  for (const fs::path& leftover : leftovers) remove_directory(leftover);
} catch (const fs::filesystem_error& error) {
  throw_storage_error(root_, "read", error.code().value());
}

}  // namespace lora
