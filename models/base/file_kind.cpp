#include "models/base/file_kind.h"

#include <algorithm>
#include <array>
#include <fstream>

namespace lora {
namespace {

struct Magic {
  std::string_view bytes;
  const char* what;
};

using namespace std::string_view_literals;

// Of two that fit, the first.
constexpr std::array kMagics = {
    Magic{"version https://git-lfs.github.com/spec/"sv, "a Git LFS pointer, not the file itself; run git lfs pull"},
    Magic{"/annex/objects/"sv, "a git-annex pointer, not the file itself; run git annex get"},
    Magic{"../.git/annex/objects/"sv, "a git-annex pointer, not the file itself; run git annex get"},
    Magic{"GGUF\x01\0\0\0"sv, "a GGUF file of llama.cpp"},
    Magic{"GGUF\x02\0\0\0"sv, "a GGUF file of llama.cpp"},
    Magic{"GGUF\x03\0\0\0"sv, "a GGUF file of llama.cpp"},
    Magic{"ggjt"sv, "a model of an old llama.cpp"},
    Magic{"lmgg"sv, "a model of an old llama.cpp"},
    Magic{"PK\x03\x04"sv, "a zip file (as torch.save's .pt and .bin, .npz, .xlsx and .docx are)"},
    Magic{"\x89HDF\r\n"sv, "an HDF5 file (as Keras writes)"},
    Magic{"\x93NUMPY"sv, "a file of NumPy"},
    Magic{"PAR1"sv, "a Parquet file"},
    Magic{"ARROW1"sv, "an Arrow file"},
    Magic{"\x1f\x8b\x08"sv, "packed by gzip"},
    Magic{"\x28\xb5\x2f\xfd"sv, "packed by zstd"},
    Magic{"BZh9"sv, "packed by bzip2"},
    Magic{"\xfd"
          "7zXZ"sv,
          "packed by xz"},
    Magic{"7z\xbc\xaf"sv, "a 7z archive"},
    Magic{"Rar!"sv, "a RAR archive"},
    Magic{"%PDF-"sv, "a PDF file"},
    Magic{"\xd0\xcf\x11\xe0"sv, "an Office file (.xls, .doc); save it as CSV"},
    Magic{"Entry not found"sv, "the answer of the Hugging Face Hub to a wrong address, not the file; fetch it again"},
    Magic{"Repository not found"sv,
          "the answer of the Hugging Face Hub to a wrong address, not the file; fetch it again"},
    Magic{"Invalid username or password"sv,
          "the answer of the Hugging Face Hub without access, not the file; fetch it again"},
    Magic{"Access to model "sv, "the answer of the Hugging Face Hub without access, not the file; fetch it again"},
};

constexpr size_t kEnough = 512;

// Protocols 2 to 5. A header's length of safetensors may have the first two bytes; the third is then 0.
bool is_pickle(std::string_view bytes) {
  return bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5 && bytes[2] != 0;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

}  // namespace

std::string file_kind(std::string_view bytes) {
  for (const Magic& magic : kMagics) {
    if (bytes.starts_with(magic.bytes)) return magic.what;
  }
  if (is_pickle(bytes)) {
    return "a pickle (as torch.save's old .pt and .bin are)";
  }
  const size_t begin = std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size());
  const std::string text = lower_case(bytes.substr(begin, 16));
  if (text.starts_with("<!doctype html") || text.starts_with("<html")) {
    return "an HTML page, perhaps of an error or a login, not the file itself; fetch it again";
  }
  if (text.starts_with("<?xml")) return "XML, perhaps of an error, not the file itself; fetch it again";
  constexpr size_t kManyZeros = 64;
  if (bytes.size() >= kManyZeros && bytes.find_first_not_of('\0') == std::string_view::npos) {
    return "a file of zeros, as a copy that was cut off may be; fetch it again";
  }
  return "";
}

std::string file_kind_of(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return "";  // a pipe would be waited for
  std::ifstream in(file, std::ios::binary);
  std::array<char, kEnough> bytes;
  in.read(bytes.data(), bytes.size());
  return file_kind({bytes.data(), static_cast<size_t>(in.gcount())});
}

}  // namespace lora
