#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/io/lazy_tensor.h"
#include "models/io/safetensors.h"
#include "models/io/safetensors_dtypes.h"

namespace lora {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& name, const std::string& found) {
  throw ModelError(path.string() + ": cannot hold tensor '" + name + "': " + found);
}

std::vector<const LazyTensor*> in_file_order(const std::filesystem::path& path,
                                             const std::vector<LazyTensor>& tensors) {
  std::vector<const LazyTensor*> order;
  std::set<std::string_view> names;
  for (const LazyTensor& tensor : tensors) {
    if (tensor.name == "__metadata__") refuse(path, tensor.name, "the name is reserved");
    if (!names.insert(tensor.name).second) refuse(path, tensor.name, "found the name twice");
    if (dtype_to_safetensors(tensor.dtype).empty()) {
      refuse(
          path, tensor.name,
          std::string("found dtype ") + c10::toString(tensor.dtype) + ", expected one of " + safetensors_dtype_names());
    }
    order.push_back(&tensor);
  }
  // Widest dtype first: every tensor is then aligned without padding, which the format does not allow.
  std::sort(order.begin(), order.end(), [](const LazyTensor* left, const LazyTensor* right) {
    const int left_rank = safetensors_rank(left->dtype), right_rank = safetensors_rank(right->dtype);
    return left_rank != right_rank ? left_rank > right_rank : left->name < right->name;
  });
  return order;
}

std::string header_text(const std::filesystem::path& path, const std::vector<const LazyTensor*>& order,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t begin = 0;
  for (const LazyTensor* tensor : order) {
    const uint64_t end = begin + tensor->bytes();
    header[tensor->name] = {
        {"dtype", dtype_to_safetensors(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  try {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  } catch (const nlohmann::json::exception&) {
    throw ModelError(path.string() + ": found a tensor name or metadata that is not UTF-8 text");
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<void(size_t bytes)>& on_tensor) {
  std::vector<LazyTensor> lazy;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.defined()) refuse(path, name, "found an undefined tensor");
    if (tensor.layout() != at::kStrided) refuse(path, name, "found a sparse tensor, expected a dense one");
    lazy.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), [tensor = tensor, &on_tensor] {
                      if (on_tensor) on_tensor(tensor.nbytes());
                      return tensor;
                    }});
  }
  stream_safetensors(path, lazy, metadata);
}

void stream_safetensors(const std::filesystem::path& path, const std::vector<LazyTensor>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  const auto order = in_file_order(path, tensors);
  const std::string header = header_text(path, order, metadata);
  const uint64_t length = header.size();

  AtomicFile file(path);
  file.write(&length, sizeof(length));
  file.write(header);
  for (const LazyTensor* tensor : order) {
    const at::Tensor plain = made(*tensor);
    file.write(plain.const_data_ptr(), plain.nbytes());
  }
  file.commit();
}

}  // namespace lora
