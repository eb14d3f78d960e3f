#include "models/base/read_file.h"

#include <fstream>
#include <iterator>

#include "models/base/error.h"

namespace lora {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) throw ModelError(path.string() + ": cannot be read");
  return bytes;
}

}  // namespace lora
