#include "lora/app/training/shared_directory.h"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "models/base/atomic_file.h"
#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

// Names below the directory with their bytes' number.
nlohmann::json files_below(const fs::path& directory) {
  nlohmann::json files = nlohmann::json::array();
  for (const auto& item : fs::recursive_directory_iterator(directory)) {
    if (item.is_regular_file()) files.push_back({item.path().lexically_relative(directory).string(), item.file_size()});
  }
  return files;
}

fs::path make_temporary_directory() {
  std::string name = (fs::temp_directory_path() / "lora-train-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw_storage_error(name, "create", errno);
  return name;
}

// One file, a piece at a time, since it may be larger than what memory is free.
void share_file(Replicas& replicas, const fs::path& path, uint64_t bytes) {
  constexpr uint64_t kPiece = 64 << 20;
  const bool reads = replicas.rank() == 0;
  std::ifstream in;
  std::ofstream out;
  if (reads) {
    in.open(path, std::ios::binary);
  } else {
    fs::create_directories(path.parent_path());
    out.open(path, std::ios::binary);
  }
  for (uint64_t at = 0; at < bytes; at += kPiece) {
    std::string piece(reads ? std::min(kPiece, bytes - at) : 0, '\0');
    if (reads && !in.read(piece.data(), static_cast<std::streamsize>(piece.size()))) {
      throw_storage_error(path, "read", errno);
    }
    piece = from_first(replicas, piece);
    if (!reads && !out.write(piece.data(), static_cast<std::streamsize>(piece.size()))) {
      throw_storage_error(path, "write", errno);
    }
  }
  if (!reads && !out.flush()) throw_storage_error(path, "write", errno);
}

}  // namespace

SharedDirectory::SharedDirectory(Replicas& replicas, const fs::path& directory) : path_(directory) {
  if (replicas.count() == 1) return;
  const bool reads = replicas.rank() == 0;
  const std::string names =
      from_first(replicas, reads ? nlohmann::json({directory.filename().string(), files_below(directory)}).dump() : "");
  const auto list = nlohmann::json::parse(names);
  if (!reads) {
    made_ = make_temporary_directory();
    path_ = made_ / list[0].get<std::string>();
  }
  for (const nlohmann::json& file : list[1]) share_file(replicas, path_ / file[0].get<std::string>(), file[1]);
}

SharedDirectory::~SharedDirectory() {
  std::error_code ignored;
  if (!made_.empty()) fs::remove_all(made_, ignored);
}

}  // namespace lora
