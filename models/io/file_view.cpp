#include "models/io/file_view.h"

#include <ATen/ops/from_blob.h>

#include "models/base/mapped_file.h"

namespace lora {
namespace {

using Owner = std::shared_ptr<MappedFile>;

// The address of this deleter also identifies file views.
void unmap(void* owner) { delete static_cast<Owner*>(owner); }

const Owner* owner_of(const at::Tensor& t) {
  if (!t.defined() || !t.has_storage()) return nullptr;
  return const_cast<Owner*>(t.storage().data_ptr().cast_context<Owner>(&unmap));
}

}  // namespace

at::Tensor file_view(std::shared_ptr<MappedFile> file, std::byte* data, at::IntArrayRef shape, at::ScalarType dtype) {
  auto owner = std::make_unique<Owner>(std::move(file));
  return at::for_blob(data, shape).context(owner.release(), &unmap).options(dtype).make_tensor();
}

bool is_file_view(const at::Tensor& t) { return owner_of(t) != nullptr; }

void release_pages(const at::Tensor& t) {
  const Owner* const file = owner_of(t);
  if (!file || t.requires_grad()) return;
  const auto begin = static_cast<size_t>(static_cast<const std::byte*>(t.const_data_ptr()) - (*file)->data());
  (*file)->release(begin, begin + t.nbytes());
}

}  // namespace lora
