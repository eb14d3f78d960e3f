#include "lora/inspect/tensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "lora/inspect/delta.h"
#include "lora/terminal/text.h"
#include "models/io/safetensors_dtypes.h"

namespace lora {
namespace {

struct Kind {
  std::string name, dtype;
  std::vector<int64_t> shape;
  int64_t tensors = 0, parameters = 0;
};

std::string odd_values(const std::string& name, const ValueStats& stats) {
  const auto quoted = "'" + name + "' ";
  if (stats.nans > 0) return quoted + "has " + with_commas(stats.nans) + " values that are NaN";
  if (stats.infinities > 0) return quoted + "has " + with_commas(stats.infinities) + " values that are infinite";
  if (stats.all_zero()) return quoted + "is zero throughout";
  return "";
}

}  // namespace

std::string written_dtype_name(at::ScalarType dtype) { return std::string(dtype_to_safetensors(dtype)); }

int64_t numel(const TensorEntry& entry) {
  int64_t count = 1;
  for (const int64_t size : entry.shape) count *= size;
  return count;
}

void describe_tensors(const SafetensorsFiles& files, bool each, bool read_values, Inspection& inspection) {
  std::vector<Kind> kinds;
  std::map<std::string, size_t> place;  // name, dtype and shape of a kind -> its row in the table
  std::map<std::string, int64_t> dtypes;
  std::set<std::string> names;
  int64_t parameters = 0, bytes = 0, count = 0;
  std::vector<std::string> zero;
  for (const auto& file : files) {
    for (const auto& [name, entry] : file->entries()) {
      if (!names.insert(name).second) inspection.odd.push_back("'" + name + "' stands in two files");
      const Kind kind{each ? name : kind_of(name), written_dtype_name(entry.dtype), entry.shape};
      const std::string key = kind.name + "\n" + kind.dtype + "\n" + c10::str(at::IntArrayRef(kind.shape));
      const auto [row, is_new] = place.emplace(key, kinds.size());
      if (is_new) kinds.push_back(kind);
      ++kinds[row->second].tensors;
      kinds[row->second].parameters += numel(entry);
      dtypes[kind.dtype] += numel(entry);
      parameters += numel(entry);
      bytes += static_cast<int64_t>(entry.end - entry.begin);
      ++count;
      if (entry.begin == entry.end) {
        inspection.odd.push_back("'" + name + "' is empty");
      } else if (read_values) {
        const ValueStats stats = value_stats(file->tensor(name));
        file->release(name);
        // A new bias or B is zero by design, so all zero tensors are reported in one line.
        if (stats.all_zero() && at::isFloatingType(entry.dtype)) zero.push_back(name);
        if (const std::string text = odd_values(name, stats); !text.empty() && !stats.all_zero()) {
          inspection.odd.push_back(text);
        }
      }
    }
  }
  if (!zero.empty()) {
    inspection.odd.push_back(zero.size() == 1 ? "'" + zero[0] + "' is zero throughout"
                                              : std::to_string(zero.size()) +
                                                    " tensors are zero throughout, such as '" + zero[0] + "'");
  }
  std::string shares;
  for (const auto& [dtype, numbers] : dtypes) {
    shares += (shares.empty() ? "" : ", ") + dtype;
    if (dtypes.size() > 1) shares += " (" + with_commas(numbers) + ")";
  }
  inspection.facts.push_back({"tensors", "Tensors", count});
  inspection.facts.push_back({"parameters", "Parameters", parameters});
  inspection.facts.push_back({"bytes", "Bytes", bytes, as_bytes(bytes)});
  inspection.facts.push_back({"dtypes", "Dtypes", shares});

  Table table{
      "tensor_table",
      each ? "Tensors" : "Tensors, layers together",
      {{"name", "name"}, {"dtype", "dtype"}, {"shape", "shape"}, {"count", "tensors"}, {"parameters", "parameters"}},
      {}};
  for (const Kind& kind : kinds) {
    table.rows.push_back({kind.name, kind.dtype, kind.shape, kind.tensors, kind.parameters});
  }
  inspection.tables.push_back(std::move(table));
}

}  // namespace lora
