#include <ATen/ATen.h>

#include <bit>
#include <cstring>
#include <set>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/numbers.h"
#include "models/io/gguf.h"
#include "models/io/gguf_format.h"

namespace lora {
namespace {

template <typename T>
void put(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put(std::string& out, const std::string& text) {
  put<uint64_t>(out, text.size());
  out += text;
}

struct PutValue {
  std::string& out;
  template <typename T>
  void operator()(const T& value) const {
    put(out, value);
  }
  void operator()(const GgufArray& array) const {
    put(out, static_cast<uint32_t>(array.index()));
    std::visit([&](const auto& values) { put_all(values); }, array);
  }
  template <typename T>
  void put_all(const std::vector<T>& values) const {
    put<uint64_t>(out, values.size());
    for (const auto& value : values) put(out, T(value));
  }
  void put_all(const MayBeEmpty&) const { throw ModelError("a GGUF array has elements; found none of any type"); }
};

uint64_t padded(uint64_t size) { return round_up<uint64_t>(size, kGgufAlignment); }

int64_t row_length(const GgufTensor& tensor) { return tensor.source.shape.empty() ? 1 : tensor.source.shape.back(); }

uint64_t bytes_of(const GgufTensor& tensor) {
  return ggml_bytes(tensor.type, c10::multiply_integers(tensor.source.shape));
}

std::string head(const std::filesystem::path& path, const GgufMetadata& metadata,
                 const std::vector<GgufTensor>& tensors) {
  const auto refuse = [&](const std::string& name, const std::string& what) {
    throw ModelError(path.string() + ": cannot hold '" + name + "': " + what);
  };
  std::string out(kGgufMagic);
  put<uint32_t>(out, kGgufVersion);
  put<uint64_t>(out, tensors.size());
  put<uint64_t>(out, metadata.size());
  std::set<std::string_view> names;
  for (const auto& [key, value] : metadata) {
    if (!names.insert(key).second) refuse(key, "found the key twice");
    put(out, key);
    put(out, static_cast<uint32_t>(value.index()));
    std::visit(PutValue{out}, value);
  }
  names.clear();
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    const LazyTensor& source = tensor.source;
    if (!names.insert(source.name).second) refuse(source.name, "found the name twice");
    if (source.name.size() > kGgufLongestName) {
      refuse(source.name, "expected a name of " + std::to_string(kGgufLongestName) + " bytes at most");
    }
    if (source.shape.empty() || source.shape.size() > kGgufDimensions) {
      refuse(source.name, "found " + std::to_string(source.shape.size()) + " dimensions, expected 1 to 4");
    }
    if (row_length(tensor) % ggml_block(tensor.type) != 0) {
      refuse(source.name, "found rows of " + std::to_string(row_length(tensor)) + ", and " +
                              std::string(ggml_name(tensor.type)) + " comes in blocks of " +
                              std::to_string(ggml_block(tensor.type)));
    }
    put(out, source.name);
    put(out, static_cast<uint32_t>(source.shape.size()));
    for (auto size = source.shape.rbegin(); size != source.shape.rend(); ++size) put<uint64_t>(out, *size);
    put(out, static_cast<uint32_t>(tensor.type));
    put(out, offset);
    offset += padded(bytes_of(tensor));
  }
  out.resize(padded(out.size()), '\0');
  return out;
}

void write_values(AtomicFile& file, const GgufTensor& tensor) {
  constexpr int64_t kPiece = 1 << 20;  // values to encode at a time, rounded to whole rows
  const at::Tensor value = made(tensor.source).view({-1});
  const int64_t row = std::max<int64_t>(row_length(tensor), 1);
  const int64_t piece = std::max<int64_t>(kPiece / row, 1) * row;
  std::vector<std::byte> bytes;
  for (int64_t begin = 0; begin < value.numel(); begin += piece) {
    const int64_t count = std::min(piece, value.numel() - begin);
    const at::Tensor wide = value.narrow(0, begin, count).to(at::kFloat);
    bytes.resize(ggml_bytes(tensor.type, count));
    if (!ggml_encode(tensor.type, {wide.const_data_ptr<float>(), static_cast<size_t>(count)}, bytes.data())) {
      throw NumericsError("tensor '" + tensor.source.name + "' has values beyond the range of " +
                          std::string(ggml_name(tensor.type)) + " in GGUF, which is F16's; expected bf16 or f32");
    }
    file.write(bytes.data(), bytes.size());
  }
  file.write(std::string(padded(bytes_of(tensor)) - bytes_of(tensor), '\0'));
}

}  // namespace

void write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                const std::vector<GgufTensor>& tensors) {
  const std::string start = head(path, metadata, tensors);
  AtomicFile file(path);
  file.write(start);
  for (const GgufTensor& tensor : tensors) write_values(file, tensor);
  file.commit();
}

}  // namespace lora
