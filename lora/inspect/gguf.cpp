#include "lora/inspect/gguf.h"

#include <ATen/ATen.h>

#include <fstream>
#include <map>

#include "lora/inspect/delta.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"
#include "models/io/gguf.h"
#include "models/io/gguf_format.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string type_text(uint32_t type) {
  const std::string_view name = ggml_name(static_cast<GgmlType>(type));
  return name.empty() ? "type " + std::to_string(type) : std::string(name);
}

// Numbers stay numbers in JSON. An array, for example a vocabulary, is reduced to its length.
Json json_of(const GgufValue& value) {
  return std::visit(
      [&](const auto& held) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, GgufArray>) {
          return value_text(value);
        } else {
          return held;
        }
      },
      value);
}

int64_t element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

void add_tensors(const GgufFile& file, bool each, Inspection& inspection) {
  struct Kind {
    const GgufEntry* entry;
    int64_t tensors = 0, parameters = 0;
  };
  std::map<std::string, Kind> kinds;
  std::map<std::string, int64_t> types;
  int64_t parameters = 0;
  for (const auto& [name, entry] : file.entries()) {
    const std::string key = each ? name : kind_of(name) + c10::str("\n", entry.type, at::IntArrayRef(entry.shape));
    Kind& kind = kinds.try_emplace(key, Kind{&entry}).first->second;
    ++kind.tensors;
    kind.parameters += element_count(entry.shape);
    parameters += element_count(entry.shape);
    types[type_text(entry.type)] += element_count(entry.shape);
  }
  std::string shares;
  for (const auto& [type, count] : types)
    shares += (shares.empty() ? "" : ", ") + type + " (" + with_commas(count) + ")";
  inspection.facts.push_back({"tensors", "Tensors", static_cast<int64_t>(file.entries().size())});
  inspection.facts.push_back({"parameters", "Parameters", parameters});
  inspection.facts.push_back({"dtypes", "Types", shares});
  Table table{
      "tensor_table",
      each ? "Tensors" : "Tensors, layers together",
      {{"name", "name"}, {"dtype", "type"}, {"shape", "shape"}, {"count", "tensors"}, {"parameters", "parameters"}},
      {}};
  for (const auto& [key, kind] : kinds) {
    table.rows.push_back(
        {key.substr(0, key.find('\n')), type_text(kind.entry->type), kind.entry->shape, kind.tensors, kind.parameters});
  }
  inspection.tables.push_back(std::move(table));
}

// Adds an adapter's pairs: "blk.0.attn_q.weight.lora_a" (r, in) and ".lora_b" (out, r), scaled by alpha / r.
void add_pairs(const GgufFile& file, Inspection& inspection) {
  const GgufValue* stored = find_value(file.metadata(), "adapter.lora.alpha");
  const auto* alpha = stored ? std::get_if<float>(stored) : nullptr;
  if (!alpha) inspection.odd.push_back("there is no adapter.lora.alpha: 1 is taken for the scaling");
  Table table{"adapted",
              "What is adapted",
              {{"module", "module"},
               {"rank", "rank"},
               {"scaling", "scaling"},
               {"shape", "shape"},
               {"norm", "‖ΔW‖"},
               {"effective_rank", "eff. rank"},
               {"rank_99", "99 % in"}},
              {}};
  for (const auto& [name, entry] : file.entries()) {
    if (!name.ends_with(".lora_a")) continue;
    const std::string module = name.substr(0, name.size() - 7);
    if (!file.entries().contains(module + ".lora_b")) {
      inspection.odd.push_back("'" + module + "' has no lora_b");
      continue;
    }
    try {
      const at::Tensor a = file.tensor(name), b = file.tensor(module + ".lora_b");
      if (a.dim() != 2 || b.dim() != 2 || a.size(0) != b.size(1) || a.size(0) == 0) {
        inspection.odd.push_back("'" + module + "': A is " + c10::str(a.sizes()) + " and B " + c10::str(b.sizes()));
        continue;
      }
      if (value_stats(a).largest == 0 || value_stats(b).largest == 0) {
        inspection.odd.push_back("'" + module + "' has a factor that is zero: it adds nothing");
      }
      if (value_stats(a).nans + value_stats(b).nans + value_stats(a).infinities + value_stats(b).infinities > 0) {
        inspection.odd.push_back("'" + module + "' has values that are NaN or infinite");
        continue;
      }
      const double scaling = alpha ? *alpha / static_cast<double>(a.size(0)) : 1.0;
      const DeltaStats delta = delta_stats(a, b, scaling);
      table.rows.push_back(
          {module, a.size(0), scaling, Json({b.size(0), a.size(1)}), delta.norm, delta.effective_rank, delta.rank_99});
    } catch (const Error& e) {
      inspection.odd.push_back(e.what());
    }
  }
  inspection.tables.push_back(std::move(table));
}

}  // namespace

bool is_gguf(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string magic(kGgufMagic.size(), '\0');
  return in.read(magic.data(), static_cast<std::streamsize>(magic.size())) && magic == kGgufMagic;
}

void describe_gguf(const fs::path& path, bool each, Inspection& inspection) {
  const GgufFile file(path);
  Table metadata{"metadata", "Metadata", {{"key", "key"}, {"value", "value"}}, {}};
  for (const auto& [key, value] : file.metadata()) metadata.rows.push_back({key, json_of(value)});
  inspection.tables.push_back(std::move(metadata));
  add_tensors(file, each, inspection);
  const GgufValue* type = find_value(file.metadata(), "general.type");
  const auto* text = type ? std::get_if<std::string>(type) : nullptr;
  if (text && *text == "adapter") add_pairs(file, inspection);
}

}  // namespace lora
