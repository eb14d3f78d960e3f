#include "lora/export/export.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "lora/adapters/merged.h"
#include "lora/export/earlier_export.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTemporary = ".tmp-";

// Where `target` is written first: `.NAME.tmp-PID` beside it; and where the one that it replaces is put.
fs::path beside(const fs::path& target, const std::string& what = "") {
  return target.parent_path() /
         ("." + target.filename().string() + what + std::string(kTemporary) + std::to_string(::getpid()));
}

// The process that wrote `name` on its way to `target`, a file name: `.TARGET.tmp-PID`, `.TARGET.old.tmp-PID`, or an
// AtomicFile's `..TARGET.tmp-PID.tmp-PID-N` on its way to the first. None: it is no such name.
std::optional<int> writer_of(std::string name, const std::string& target) {
  if (name.starts_with("..")) {
    const size_t end = name.rfind(kTemporary);
    name = name.substr(1, end == std::string::npos ? end : end - 1);
  }
  if (!name.starts_with("." + target)) return {};
  name.erase(0, 1 + target.size());
  if (name.starts_with(".old")) name.erase(0, 4);
  if (!name.starts_with(kTemporary)) return {};
  const std::string pid = name.substr(kTemporary.size());
  if (pid.empty() || pid.size() > 9 || pid.find_first_not_of("0123456789") != std::string::npos) return {};
  return std::stoi(pid);
}

// Removes what processes that were killed while they wrote `target` left beside it. To be called when the new one is in
// place: theirs may be the only whole one until then.
void remove_leftovers(const fs::path& target) {
  std::error_code ignored;
  std::vector<fs::path> leftovers;
  for (const auto& item : fs::directory_iterator(target.parent_path(), ignored)) {
    const auto writer = writer_of(item.path().filename().string(), target.filename().string());
    if (writer && ::kill(*writer, 0) != 0 && errno == ESRCH) leftovers.push_back(item.path());
  }
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover, ignored);
}

void expect_no_directory(const fs::path& output) {
  if (output.has_filename() && !fs::is_directory(output)) return;
  throw StorageError(output.string() + ": is a directory; expected the path of a file");
}

void expect_allowed(const ExportFormat& format, const ExportSource& source) {
  if (!format.refuses) return;
  const std::string reason = format.refuses(source.adapted.config);
  if (!reason.empty()) throw ExportError(format.name + ": " + reason);
}

}  // namespace

// Each in the file of its name.
ExportFormat peft_format(), lora_format(), torchscript_format(), torchscript_int8_format(), huggingface_format(),
    gguf_format(const std::string&outtype), gguf_lora_format();

const std::vector<ExportFormat>& export_formats() {
  static const std::vector<ExportFormat> formats = {
      peft_format(),        lora_format(),       torchscript_format(), torchscript_int8_format(),
      huggingface_format(), gguf_format("auto"), gguf_format("f32"),   gguf_format("f16"),
      gguf_format("bf16"),  gguf_format("q8_0"), gguf_lora_format(),
  };
  return formats;
}

const Names& export_names() {
  static const Names names = with_rows({}, export_formats());
  return names;
}

const ExportFormat& export_format(const std::string& name) {
  if (const ExportFormat* format = find_row(export_formats(), name)) return *format;
  throw ExportError("there is no format '" + name + "'; expected one of " + joined(export_names().known) +
                    name_hint(export_names(), name));
}

void check_options(const ExportFormat& format, const ExportOptions& options) {
  if (accepts({format.outtypes}, options.outtype)) return;
  throw ExportError(format.name + ": outtype '" + options.outtype + "'; expected one of " + joined(format.outtypes));
}

void check_export(const std::string& name, const ExportSource& source, const fs::path& output) {
  const ExportFormat& format = export_format(name);
  expect_allowed(format, source);
  if (format.is_directory) {
    expect_replaceable(output, source.model_directory);
  } else {
    expect_no_directory(output);
  }
  if (format.beside) expect_replaceable(format.beside(source.options, output), source.model_directory);
  if (format.check) format.check(source);
  if (format.merges) merged_tensors(source.model());  // every layer has a place for what is merged into it
}

std::string export_as(const std::string& name, const ExportSource& source, const fs::path& output) {
  const ExportFormat& format = export_format(name);
  expect_allowed(format, source);
  check_options(format, source.options);
  return format.write(source, output);
}

void count_bytes(const std::vector<LazyTensor*>& tensors, const ExportSource& source) {
  if (!source.on_bytes) return;
  size_t total = 0;
  for (const LazyTensor* tensor : tensors) total += tensor->bytes();
  const auto done = std::make_shared<size_t>(0);
  for (LazyTensor* tensor : tensors) {
    tensor->make = [make = tensor->make, bytes = tensor->bytes(), done, total, tell = source.on_bytes] {
      at::Tensor values = make();
      tell(static_cast<int64_t>(*done += bytes), static_cast<int64_t>(total));
      return values;
    };
  }
}

void write_file(const fs::path& output, const std::function<void(const fs::path&)>& fill) {
  const fs::path target = fs::absolute(output).lexically_normal();
  expect_no_directory(target);
  const fs::path temporary = beside(target);
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
    remove_leftovers(target);
  } catch (const fs::filesystem_error& e) {
    clean();
    throw StorageError(target.string() + ": cannot write: " + e.code().message());
  } catch (...) {
    clean();
    throw;
  }
}

void write_directory(const fs::path& output, const fs::path& model_directory,
                     const std::function<void(const fs::path&)>& fill) {
  const fs::path target = fs::absolute(output).lexically_normal();
  const fs::path final_path = target.has_filename() ? target : target.parent_path();
  expect_replaceable(final_path, model_directory);
  const fs::path temporary = beside(final_path), old = beside(final_path, ".old");
  try {
    fs::remove_all(temporary);
    fs::create_directories(temporary);
    fill(temporary);
    sync_directory(temporary);
    if (fs::exists(final_path)) {
      exchange_directories(temporary, final_path, old);
    } else {
      rename_path(temporary, final_path);
    }
    sync_directory(final_path.parent_path());
    remove_leftovers(final_path);
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
