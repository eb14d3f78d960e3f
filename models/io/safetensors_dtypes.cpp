#include "models/io/safetensors_dtypes.h"

#include <algorithm>
#include <iterator>

namespace lora {
namespace {

struct DtypeName {
  at::ScalarType dtype;
  std::string_view name;
};

// The order of the Python library, so that both write identical files.
constexpr DtypeName kDtypes[] = {
    {at::kBool, "BOOL"},
    {at::kByte, "U8"},
    {at::kChar, "I8"},
    {at::kFloat8_e5m2, "F8_E5M2"},
    {at::kFloat8_e4m3fn, "F8_E4M3"},
    {at::kShort, "I16"},
    {at::kUInt16, "U16"},
    {at::kHalf, "F16"},
    {at::kBFloat16, "BF16"},
    {at::kInt, "I32"},
    {at::kUInt32, "U32"},
    {at::kFloat, "F32"},
    {at::kDouble, "F64"},
    {at::kLong, "I64"},
    {at::kUInt64, "U64"},
};

const DtypeName* find(at::ScalarType dtype) {
  return std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const DtypeName& row) { return row.dtype == dtype; });
}

}  // namespace

std::optional<at::ScalarType> dtype_from_safetensors(std::string_view name) {
  for (const DtypeName& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::string_view dtype_to_safetensors(at::ScalarType dtype) {
  const DtypeName* row = find(dtype);
  return row == std::end(kDtypes) ? std::string_view() : row->name;
}

int safetensors_rank(at::ScalarType dtype) { return static_cast<int>(find(dtype) - std::begin(kDtypes)); }

std::string safetensors_dtype_names() {
  std::string names;
  for (const DtypeName& row : kDtypes) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

}  // namespace lora
