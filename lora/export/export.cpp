#include "lora/export/export.h"

#include <unistd.h>

#include "models/error.h"
#include "models/io/atomic_file.h"

namespace lora {

namespace fs = std::filesystem;

const std::map<std::string, ExportFormat>& export_formats() {
  static const std::map<std::string, ExportFormat> formats = {
      {"lora", {"adapter-lora", export_lora, /*merges=*/false}},
      {"peft", {"adapter", export_peft, /*merges=*/false}},
      {"huggingface", {"merged", export_huggingface}},
      {"torchscript", {"merged.pt", export_torchscript}},
  };
  return formats;
}

void write_directory(const fs::path& output, const std::function<void(const fs::path&)>& fill) {
  const fs::path target = fs::absolute(output).lexically_normal();
  const fs::path final_path = target.has_filename() ? target : target.parent_path();
  if (fs::exists(final_path) && !fs::is_directory(final_path)) {
    throw StorageError(final_path.string() + ": is a file; wanted a directory or nothing there");
  }
  const std::string suffix = ".tmp-" + std::to_string(::getpid());
  const fs::path temporary = final_path.parent_path() / ("." + final_path.filename().string() + suffix);
  const fs::path old = final_path.parent_path() / ("." + final_path.filename().string() + ".old" + suffix);
  try {
    fs::remove_all(temporary);
    fs::create_directories(temporary);
    fill(temporary);
    sync_directory(temporary);
    if (fs::exists(final_path)) fs::rename(final_path, old);
    fs::rename(temporary, final_path);
    sync_directory(final_path.parent_path());
    fs::remove_all(old);
  } catch (const fs::filesystem_error& e) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw StorageError(final_path.string() + ": cannot write: " + e.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

}  // namespace lora
