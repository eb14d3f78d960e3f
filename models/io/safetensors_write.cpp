#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "models/error.h"
#include "models/io/atomic_file.h"
#include "models/io/safetensors.h"
#include "models/io/safetensors_dtypes.h"

namespace lora {
namespace {

std::vector<const NamedTensors::value_type*> in_file_order(const std::filesystem::path& path,
                                                           const NamedTensors& tensors) {
  const auto refuse = [&](const std::string& name, const std::string& found) {
    throw ModelError(path.string() + ": cannot hold tensor '" + name + "': " + found);
  };
  std::vector<const NamedTensors::value_type*> order;
  std::set<std::string_view> names;
  for (const auto& item : tensors) {
    const auto& [name, tensor] = item;
    if (name == "__metadata__") refuse(name, "the name is reserved");
    if (!names.insert(name).second) refuse(name, "found the name twice");
    if (!tensor.defined()) refuse(name, "found an undefined tensor");
    if (tensor.layout() != at::kStrided) refuse(name, "found a sparse tensor, wanted a dense one");
    if (dtype_to_safetensors(tensor.scalar_type()).empty()) {
      refuse(name, std::string("found dtype ") + c10::toString(tensor.scalar_type()) + ", wanted one of " +
                       safetensors_dtype_names());
    }
    order.push_back(&item);
  }
  // Widest dtype first: every tensor is aligned without padding, which the format does not allow.
  std::sort(order.begin(), order.end(), [](const auto* left, const auto* right) {
    const int left_rank = safetensors_rank(left->second.scalar_type());
    const int right_rank = safetensors_rank(right->second.scalar_type());
    return left_rank != right_rank ? left_rank > right_rank : left->first < right->first;
  });
  return order;
}

std::string header_text(const std::filesystem::path& path, const std::vector<const NamedTensors::value_type*>& order,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t begin = 0;
  for (const auto* item : order) {
    const auto& [name, tensor] = *item;
    const uint64_t end = begin + tensor.nbytes();
    header[name] = {{"dtype", dtype_to_safetensors(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {begin, end}}};
    begin = end;
  }
  try {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  } catch (const nlohmann::json::exception&) {
    throw ModelError(path.string() + ": found a tensor name or metadata that is no UTF-8 text");
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto order = in_file_order(path, tensors);
  const std::string header = header_text(path, order, metadata);
  const uint64_t length = header.size();

  AtomicFile file(path);
  file.write(&length, sizeof(length));
  file.write(header);
  for (const auto* item : order) {
    const at::Tensor plain = item->second.detach().cpu().contiguous();
    file.write(plain.const_data_ptr(), plain.nbytes());
  }
  file.commit();
}

}  // namespace lora
