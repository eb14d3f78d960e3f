#include "lora/export/export.h"

#include <unistd.h>

#include "lora/adapters/merged.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {

namespace fs = std::filesystem;

namespace {

// The numbers' format said in the name, for a recipe's list.
ExportFormat gguf_as(const std::string& outtype) {
  return {"model-" + outtype + ".gguf",
          [outtype](const ExportSource& source, const fs::path& output) {
            ExportSource chosen = source;
            chosen.options.outtype = outtype;
            return export_gguf(chosen, output);
          },
          check_gguf};
}

// Whether every layer has a place for what is merged into it.
void check_merging(const ExportSource& source) { merged_tensors(source.model()); }

std::string export_torchscript_int8(const ExportSource& source, const fs::path& output) {
  ExportSource chosen = source;
  chosen.options.outtype = "int8";
  chosen.options.huggingface_beside = false;
  return export_torchscript(chosen, output);
}

std::string suffix() { return ".tmp-" + std::to_string(::getpid()); }

}  // namespace

const std::map<std::string, ExportFormat>& export_formats() {
  static const std::map<std::string, ExportFormat> formats = {
      {"gguf", {"model.gguf", export_gguf, check_gguf}},
      {"gguf-bf16", gguf_as("bf16")},
      {"gguf-f16", gguf_as("f16")},
      {"gguf-f32", gguf_as("f32")},
      {"gguf-lora", {"adapter.gguf", export_gguf_lora, check_gguf_lora, /*merges=*/false}},
      {"gguf-q8_0", gguf_as("q8_0")},
      {"lora", {"adapter-lora", export_lora, check_lora, /*merges=*/false}},
      {"peft", {"adapter", export_peft, check_peft, /*merges=*/false}},
      {"huggingface", {"merged", export_huggingface, check_merging}},
      {"torchscript", {"merged.pt", export_torchscript, check_merging}},
      {"torchscript-int8", {"merged-int8.pt", export_torchscript_int8, check_merging}},
  };
  return formats;
}

void write_file(const fs::path& output, const std::function<void(const fs::path&)>& fill) {
  const fs::path target = fs::absolute(output).lexically_normal();
  if (!target.has_filename() || fs::is_directory(target)) {
    throw StorageError(target.string() + ": is a directory; wanted the path of a file");
  }
  const fs::path temporary = target.parent_path() / ("." + target.filename().string() + suffix());
  const auto clean = [&] {
    std::error_code ignored;
    fs::remove(temporary, ignored);
  };
  try {
    fs::create_directories(target.parent_path());
    fill(temporary);
    sync_file(temporary);
    fs::rename(temporary, target);
    sync_directory(target.parent_path());
  } catch (const fs::filesystem_error& e) {
    clean();
    throw StorageError(target.string() + ": cannot write: " + e.code().message());
  } catch (...) {
    clean();
    throw;
  }
}

void write_directory(const fs::path& output, const std::function<void(const fs::path&)>& fill) {
  const fs::path target = fs::absolute(output).lexically_normal();
  const fs::path final_path = target.has_filename() ? target : target.parent_path();
  if (fs::exists(final_path) && !fs::is_directory(final_path)) {
    throw StorageError(final_path.string() + ": is a file; wanted a directory or nothing there");
  }
  const fs::path temporary = final_path.parent_path() / ("." + final_path.filename().string() + suffix());
  const fs::path old = final_path.parent_path() / ("." + final_path.filename().string() + ".old" + suffix());
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
