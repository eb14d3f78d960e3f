#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>

#include "models/base/error.h"
#include "models/base/file_kind.h"
#include "models/base/json.h"
#include "models/base/mapped_file.h"
#include "models/io/file_view.h"
#include "models/io/safetensors.h"
#include "models/io/safetensors_dtypes.h"

namespace lora {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors holds little-endian numbers");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kLargestHeader = 100'000'000;  // the Python library's limit

// Limits the length: a name in a malicious file can be as long as the header.
std::string quoted(const std::string& text) { return "'" + text.substr(0, 200) + "'"; }

constexpr int kHeaderDepth = 3;  // header, entry, shape

// Returns an error, or an empty string.
std::string parse_header(std::string_view text, json& header) {
  try {
    header = parse_json<json>(text, kHeaderDepth);
  } catch (const json::parse_error& error) {
    return "is not JSON, at byte " + std::to_string(error.byte);
  } catch (const json::other_error& error) {
    return "is not as expected: " + json_problem(error);
  } catch (const json::exception&) {
    return "has a number out of range";
  }
  return {};  // it began with '{'
}

// The bytes of a tensor; nothing if the bytes or the strides exceed 63 bits.
std::optional<uint64_t> byte_size(const std::vector<int64_t>& shape, size_t item_bytes) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  uint64_t bytes = item_bytes;  // counts dimensions of 0 as 1, as strides do
  bool empty = false;
  for (const int64_t dimension : shape) {
    empty = empty || dimension == 0;
    const auto factor = static_cast<uint64_t>(std::max<int64_t>(dimension, 1));
    if (bytes > kMost / factor) return std::nullopt;
    bytes *= factor;
  }
  return empty ? 0 : bytes;
}

// Fills `entry`. Returns an error, or an empty string.
std::string parse_entry(const json& value, TensorEntry& entry) {
  if (!value.is_object()) return "found " + std::string(value.type_name()) + ", expected an object";
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (!value.contains(key)) return std::string("found no '") + key + "', which every tensor has";
  }
  const json& dtype = value["dtype"];
  if (!dtype.is_string()) return "found a dtype that is not text";
  const auto known = dtype_from_safetensors(dtype.get_ref<const std::string&>());
  if (!known)
    return "found dtype " + quoted(dtype.get<std::string>()) + ", expected one of " + safetensors_dtype_names();
  entry.dtype = *known;

  const json& shape = value["shape"];
  const auto is_dimension = [](const json& number) {
    return number.is_number_unsigned() && number.get<uint64_t>() <= std::numeric_limits<int64_t>::max();
  };
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), is_dimension)) {
    return "found a shape that is not a list of dimensions";
  }
  entry.shape = shape.get<std::vector<int64_t>>();

  const json& offsets = value["data_offsets"];
  const auto is_offset = [](const json& number) { return number.is_number_unsigned(); };
  if (!offsets.is_array() || offsets.size() != 2 || !std::all_of(offsets.begin(), offsets.end(), is_offset)) {
    return "found data_offsets that are no [begin, end]";
  }
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  return {};
}

std::string range(const TensorEntry& entry) {
  return "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + ")";
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), file_(std::make_shared<MappedFile>(path)) {
  read_header();

  // The format allows no gap and no overlap: in file order, each tensor begins where the previous one ends.
  std::vector<const std::pair<const std::string, TensorEntry>*> in_order;
  for (const auto& entry : entries_) in_order.push_back(&entry);
  std::sort(in_order.begin(), in_order.end(), [](const auto* left, const auto* right) {
    return std::tie(left->second.begin, left->second.end) < std::tie(right->second.begin, right->second.end);
  });
  const uint64_t data_bytes = file_->size() - data_offset_;
  uint64_t next = 0;
  for (const auto* item : in_order) {
    const auto& [name, entry] = *item;
    if (entry.begin > entry.end)
      fail("tensor " + quoted(name) + ": found bytes " + range(entry) + ", end before begin");
    if (entry.end > data_bytes) {
      fail("tensor " + quoted(name) + ": found " + std::to_string(data_bytes) + " bytes of data, expected its bytes " +
           range(entry) + "; the file is truncated");
    }
    const auto bytes = byte_size(entry.shape, c10::elementSize(entry.dtype));
    if (bytes != entry.end - entry.begin) {
      fail("tensor " + quoted(name) + ": found " + std::to_string(entry.end - entry.begin) + " bytes, expected " +
           (bytes ? std::to_string(*bytes) : "more than a file can hold") + " for its dtype and shape");
    }
    if (entry.begin != next) {
      fail("tensor " + quoted(name) + ": found bytes " + range(entry) + ", expected them to begin at " +
           std::to_string(next) + ", where the tensor before ends");
    }
    next = entry.end;
  }
  if (next != data_bytes) {
    fail("found " + std::to_string(data_bytes) + " bytes of data, expected " + std::to_string(next) +
         ", where the last tensor ends");
  }
}

void SafetensorsFile::read_header() {
  const auto* bytes = reinterpret_cast<const char*>(file_->data());
  // Asked only after a check has failed: the length of a header may have the bytes of another format's beginning.
  const auto fail_head = [&](const std::string& what) {
    const std::string kind = file_kind({bytes, std::min<size_t>(file_->size(), 512)});
    const bool of_torch = kind.find("torch.save") != std::string::npos;
    fail(kind.empty() ? what
                      : "is " + kind + "; expected a safetensors file" +
                            (of_torch ? ": torch.load it and write it by safetensors.torch.save_file" : ""));
  };
  if (file_->size() < kLengthBytes) {
    fail_head("found " + std::to_string(file_->size()) + " bytes, expected a safetensors file; the file is truncated");
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes, kLengthBytes);
  if (length > kLargestHeader) {
    fail_head("found a header length of " + std::to_string(length) + ", expected at most " +
              std::to_string(kLargestHeader) + "; this is not a safetensors file");
  }
  if (length > file_->size() - kLengthBytes) {
    fail_head("found " + std::to_string(file_->size()) + " bytes, expected a header of " + std::to_string(length) +
              "; the file is truncated");
  }
  data_offset_ = kLengthBytes + length;

  const std::string_view text(bytes + kLengthBytes, length);
  if (text.empty() || text.front() != '{')
    fail_head("the header does not begin with '{'; this is not a safetensors file");
  json header;
  if (const std::string problem = parse_header(text, header); !problem.empty()) fail("the header " + problem);
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      constexpr auto kProblem = "the header's __metadata__ is not a map of text to text";
      if (!value.is_object() && !value.is_null()) fail(kProblem);
      for (const auto& [key, item] : value.items()) {
        if (!item.is_string()) fail(kProblem);
        metadata_.emplace(key, item.get<std::string>());
      }
      continue;
    }
    TensorEntry entry{};
    if (const std::string problem = parse_entry(value, entry); !problem.empty()) {
      fail("tensor " + quoted(name) + ": " + problem);
    }
    entries_.emplace(name, std::move(entry));
  }
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail("found no tensor " + quoted(name));
  const TensorEntry& entry = found->second;
  const auto options = at::TensorOptions().dtype(entry.dtype);
  if (entry.begin == entry.end) return at::empty(entry.shape, options);
  std::byte* data = file_->data() + data_offset_ + entry.begin;
  if (entry.dtype == at::kBool) {
    const bool valid =
        std::all_of(data, data + (entry.end - entry.begin), [](std::byte b) { return b <= std::byte{1}; });
    if (!valid) fail("tensor " + quoted(name) + ": found a BOOL that is neither 0 nor 1");
  }
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(entry.dtype) != 0) {
    at::Tensor copy = at::empty(entry.shape, options);
    std::memcpy(copy.mutable_data_ptr(), data, entry.end - entry.begin);
    return copy;
  }
  return file_view(file_, data, entry.shape, entry.dtype);
}

void SafetensorsFile::release(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail("found no tensor " + quoted(name));
  file_->release(data_offset_ + found->second.begin, data_offset_ + found->second.end);
}

void SafetensorsFile::fail(const std::string& what) const { throw ModelError(path_.string() + ": " + what); }

}  // namespace lora
