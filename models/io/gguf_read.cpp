#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "models/base/error.h"
#include "models/base/file_kind.h"
#include "models/base/mapped_file.h"
#include "models/base/numbers.h"
#include "models/io/gguf.h"
#include "models/io/gguf_format.h"

namespace lora {
namespace {

struct Damaged {
  std::string what;
};

// Reads the bytes of the head in order. Throws Damaged.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : all_(bytes), left_(bytes) {}

  std::string_view take(uint64_t size) {
    if (size > left_.size()) {
      throw Damaged{"ends at byte " + std::to_string(all_.size()) + ", where more was expected"};
    }
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text() { return std::string(take(number<uint64_t>())); }
  uint64_t position() const { return all_.size() - left_.size(); }
  uint64_t left() const { return left_.size(); }

 private:
  std::string_view all_, left_;
};

template <typename T>
T read_one(Reader& reader) {
  if constexpr (std::is_same_v<T, std::string>) {
    return reader.text();
  } else if constexpr (std::is_same_v<T, bool>) {
    return reader.number<uint8_t>() != 0;
  } else {
    return reader.number<T>();
  }
}

// The alternative of a variant for a type code of the file, read by `Read`.
template <typename Variant, size_t I = 0, typename Read>
Variant read_alternative(uint32_t code, const Read& read) {
  if constexpr (I == std::variant_size_v<Variant>) {
    throw Damaged{"has a value of type " + std::to_string(code) + "; expected 0 to 12"};
  } else {
    if (code == I)
      return Variant(std::in_place_index<I>, read(std::in_place_type<std::variant_alternative_t<I, Variant>>));
    return read_alternative<Variant, I + 1>(code, read);
  }
}

struct ReadElements {
  Reader& reader;
  template <typename T>
  std::vector<T> operator()(std::in_place_type_t<std::vector<T>>) const {
    constexpr uint64_t kLeast = std::is_same_v<T, std::string> ? 8 : std::is_same_v<T, bool> ? 1 : sizeof(T);
    const auto count = reader.number<uint64_t>();
    if (count > reader.left() / kLeast) throw Damaged{"has an array of " + std::to_string(count) + " elements"};
    std::vector<T> values;
    values.reserve(count);
    for (uint64_t i = 0; i < count; ++i) values.push_back(read_one<T>(reader));
    return values;
  }
  MayBeEmpty operator()(std::in_place_type_t<MayBeEmpty>) const {
    throw Damaged{"has an array of arrays, which is not read here"};
  }
};

struct ReadValue {
  Reader& reader;
  template <typename T>
  T operator()(std::in_place_type_t<T>) const {
    return read_one<T>(reader);
  }
  GgufArray operator()(std::in_place_type_t<GgufArray>) const {
    const auto code = reader.number<uint32_t>();
    return read_alternative<GgufArray>(code, ReadElements{reader});
  }
};

GgufEntry read_entry(Reader& reader) {
  GgufEntry entry;
  const auto dimensions = reader.number<uint32_t>();
  if (dimensions > kGgufDimensions)
    throw Damaged{"has " + std::to_string(dimensions) + " dimensions; expected 4 at most"};
  int64_t values = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = reader.number<uint64_t>();
    // No type takes more than eight bytes per value.
    if (size == 0 || size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / 8 / values)) {
      throw Damaged{"has a dimension of " + std::to_string(size)};
    }
    values *= static_cast<int64_t>(size);
    entry.shape.insert(entry.shape.begin(), static_cast<int64_t>(size));
  }
  entry.type = reader.number<uint32_t>();
  entry.begin = reader.number<uint64_t>();
  return entry;
}

std::string named(const std::string& text) { return "'" + text.substr(0, 200) + "'"; }

}  // namespace

const GgufValue* find_value(const GgufMetadata& metadata, std::string_view key) {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::string value_text(const GgufValue& value) {
  static constexpr const char* kNames[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                           "bool",  "string", "array",  "uint64", "int64",  "float64"};
  return std::visit(
      [](const auto& held) -> std::string {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, std::string>) {
          return held;
        } else if constexpr (std::is_same_v<T, GgufArray>) {
          const size_t count = std::visit(
              [](const auto& values) -> size_t {
                if constexpr (std::is_same_v<std::decay_t<decltype(values)>, MayBeEmpty>) {
                  return 0;
                } else {
                  return values.size();
                }
              },
              held);
          return "[" + std::to_string(count) + " × " + kNames[held.index()] + "]";
        } else if constexpr (std::is_same_v<T, bool>) {
          return held ? "true" : "false";
        } else if constexpr (std::is_floating_point_v<T>) {
          return c10::str(held);
        } else {
          return std::to_string(held);
        }
      },
      value);
}

GgufFile::GgufFile(const std::filesystem::path& path) : path_(path), file_(std::make_shared<MappedFile>(path)) {
  try {
    read();
  } catch (const Damaged& damage) {
    fail(damage.what);
  }
}

void GgufFile::read() {
  Reader reader({reinterpret_cast<const char*>(file_->data()), file_->size()});
  if (file_->size() < kGgufMagic.size() || reader.take(kGgufMagic.size()) != kGgufMagic) {
    const std::string kind =
        file_kind({reinterpret_cast<const char*>(file_->data()), std::min<size_t>(file_->size(), 512)});
    throw Damaged{kind.empty() ? "is not a GGUF file" : "is " + kind + "; expected a GGUF file"};
  }
  const auto version = reader.number<uint32_t>();
  if (version != kGgufVersion && version != 2) {
    throw Damaged{"is of GGUF version " + std::to_string(version) + "; expected 2 or 3, little-endian"};
  }
  const auto tensors = reader.number<uint64_t>(), values = reader.number<uint64_t>();
  for (uint64_t i = 0; i < values; ++i) {
    std::string key = reader.text();
    if (find_value(metadata_, key)) throw Damaged{"has the key " + named(key) + " twice"};
    const auto code = reader.number<uint32_t>();
    metadata_.emplace_back(std::move(key), read_alternative<GgufValue>(code, ReadValue{reader}));
  }
  for (uint64_t i = 0; i < tensors; ++i) {
    const std::string name = reader.text();
    try {
      if (!entries_.emplace(name, read_entry(reader)).second) throw Damaged{"stands there twice"};
    } catch (const Damaged& damage) {
      throw Damaged{"tensor " + named(name) + " " + damage.what};
    }
  }
  uint64_t alignment = kGgufAlignment;
  if (const GgufValue* set = find_value(metadata_, "general.alignment")) {
    if (!std::holds_alternative<uint32_t>(*set) || std::get<uint32_t>(*set) == 0) {
      throw Damaged{"has a general.alignment of " + value_text(*set)};
    }
    alignment = std::get<uint32_t>(*set);
  }
  const uint64_t data = round_up<uint64_t>(reader.position(), alignment);
  for (auto& [name, entry] : entries_) {
    if (entry.begin > file_->size() || data > file_->size() - entry.begin) {
      throw Damaged{"tensor " + named(name) + " begins at byte " + std::to_string(entry.begin) +
                    " of the tensors, beyond the file's end"};
    }
    entry.begin += data;
  }
}

at::Tensor GgufFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail("tensor " + named(name) + " is missing");
  const GgufEntry& entry = found->second;
  const auto type = static_cast<GgmlType>(entry.type);
  if (ggml_name(type).empty()) {
    fail("tensor " + named(name) + " is of ggml type " + std::to_string(entry.type) +
         "; expected F32, F16, BF16 or Q8_0");
  }
  const int64_t row = entry.shape.empty() ? 1 : entry.shape.back();
  const size_t bytes = ggml_bytes(type, c10::multiply_integers(entry.shape));
  if (row % ggml_block(type) != 0 || bytes > file_->size() - entry.begin) {
    fail("tensor " + named(name) + " is of " + std::to_string(bytes) + " bytes from byte " +
         std::to_string(entry.begin) + " on; the file has " + std::to_string(file_->size()));
  }
  at::Tensor value = at::empty(entry.shape, at::kFloat);
  ggml_decode(type, file_->data() + entry.begin, {value.mutable_data_ptr<float>(), static_cast<size_t>(value.numel())});
  return value;
}

void GgufFile::fail(const std::string& what) const { throw ModelError(path_.string() + ": " + what); }

void GgufFile::fail_value(const std::string& key, const GgufValue* found) const {
  fail("'" + key + "' is " + (found ? value_text(*found) + ", of another type than expected" : "missing"));
}

}  // namespace lora
