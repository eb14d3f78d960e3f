#include "lora/inspect/adapter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "lora/adapters/matcher.h"
#include "lora/adapters/peft.h"
#include "lora/adapters/registry.h"
#include "lora/inspect/base_weights.h"
#include "lora/inspect/delta.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kPrefix = "base_model.model.";

// Ends of names in a file -> the part of a pair, of all methods.
const std::map<std::string, std::string>& part_names() {
  static const std::map<std::string, std::string> names = [] {
    std::map<std::string, std::string> made;
    for (const Method& method : methods()) {
      for (const auto& [end, part] : method.file_parts) made["." + end] = part;
    }
    return made;
  }();
  return names;
}

// The end of a tensor's name that says what part it is; null: it is trained whole.
const std::pair<const std::string, std::string>* part_of(const std::string& name) {
  for (const auto& item : part_names()) {
    if (name.ends_with(item.first)) return &item;
  }
  return nullptr;
}

struct Pair {
  std::map<std::string, std::string> parts;  // A, B, … -> name of the tensor
  bool embedding = false;                    // A is (r, V), B is (H, r), and ΔW is the transpose of their product
};

struct Contents {
  std::map<std::string, Pair> pairs;  // key: module
  std::vector<std::string> whole;     // other tensors, which were trained in full
};

Contents sorted_out(const SafetensorsFile& file) {
  Contents contents;
  for (const auto& [name, entry] : file.entries()) {
    const auto* part = part_of(name);
    if (!part) {
      contents.whole.push_back(name);
      continue;
    }
    std::string module = name.substr(0, name.size() - part->first.size());
    if (module.starts_with(kPrefix)) module = module.substr(std::string(kPrefix).size());
    Pair& pair = contents.pairs[module];
    pair.parts[part->second] = name;
    pair.embedding |= name.find(".lora_embedding_") != std::string::npos;
  }
  return contents;
}

struct Row {
  std::string module;
  int64_t rank = 0, out = 0, in = 0, parameters = 0;
  double alpha = NAN, scaling = NAN, relative = NAN;
  DeltaStats delta;
  bool known = false;  // whether `delta` is computed
};

class Adapter {
 public:
  Adapter(const SafetensorsFile& file, const std::optional<AdapterConfig>& config, const fs::path& base,
          Inspection& inspection)
      : file_(file), config_(config), contents_(sorted_out(file)), base_(base, inspection), inspection_(inspection) {}

  void describe(bool each) {
    std::vector<Row> rows;
    for (const auto& [module, pair] : contents_.pairs) rows.push_back(row_of(module, pair));
    check_totals(rows);
    check_layers();
    check_tied_head();
    add_table(rows, each);
    add_whole();
  }

 private:
  void odd(const std::string& sentence) { inspection_.odd.push_back(sentence); }

  // Reads the tensor if it is a finite matrix; otherwise reports what is wrong with it.
  at::Tensor matrix(const std::string& name) {
    const TensorEntry& entry = file_.entries().at(name);
    if (entry.shape.size() != 2 || !at::isFloatingType(entry.dtype) || entry.begin == entry.end) {
      odd("'" + name + "' is " + written_dtype_name(entry.dtype) + " " + c10::str(at::IntArrayRef(entry.shape)) +
          "; expected a matrix of floating-point numbers");
      return {};
    }
    const at::Tensor values = file_.tensor(name).to(at::kFloat);
    const ValueStats stats = value_stats(values);
    if (stats.nans + stats.infinities == 0) return values;
    odd("'" + name + "' has " + with_commas(stats.nans) + " values that are NaN and " + with_commas(stats.infinities) +
        " that are infinite");
    return {};
  }

  Row row_of(const std::string& module, const Pair& pair) {
    Row row;
    row.module = module;
    for (const auto& [part, name] : pair.parts) row.parameters += numel(file_.entries().at(name));
    for (const char* part : {"A", "B"}) {
      if (!pair.parts.contains(part)) odd("'" + module + "' has no lora_" + part);
    }
    if (!pair.parts.contains("A") || !pair.parts.contains("B")) return row;
    at::Tensor a = matrix(pair.parts.at("A")), b = matrix(pair.parts.at("B"));
    if (!a.defined() || !b.defined()) return row;
    row.rank = a.size(0);
    row.out = pair.embedding ? a.size(1) : b.size(0);
    row.in = pair.embedding ? b.size(0) : a.size(1);
    if (b.size(1) != row.rank) {
      odd("'" + module + "': A has " + std::to_string(row.rank) + " rows and B " + std::to_string(b.size(1)) +
          " columns; expected the same, the rank");
      return row;
    }
    if (row.rank > std::min(row.out, row.in)) {
      odd("'" + module + "': rank " + std::to_string(row.rank) + " is more than the smaller side of " +
          std::to_string(row.out) + " × " + std::to_string(row.in));
    }
    if (pair.parts.contains("E")) {
      const at::Tensor e = matrix(pair.parts.at("E"));
      if (!e.defined()) return row;
      if (e.numel() != row.rank) {
        odd("'" + module + "': lora_E has " + std::to_string(e.numel()) + " values; expected the rank");
        return row;
      }
      a = a * e.reshape({-1, 1});
    }
    set_scaling(row, pair.parts.contains("E"));
    row.delta = delta_stats(a, b, std::isnan(row.scaling) ? 1.0 : row.scaling);
    row.known = true;
    if (b.abs().max().item<double>() == 0 && !pair.embedding) ++zero_b_;
    if (a.abs().max().item<double>() == 0) ++zero_a_;
    base_.compare(module, row.out, row.in);
    if (const double norm = base_.norm(module); norm > 0) row.relative = row.delta.norm / norm;
    return row;
  }

  void set_scaling(Row& row, bool adalora) {
    if (!config_) return;
    int64_t rank = config_->rank;
    try {
      const AdapterTarget target = adapter_target(row.module, *config_);
      row.alpha = target.alpha;
      rank = target.rank;
    } catch (const Error& e) {
      if (pattern_errors_.insert(e.what()).second) odd(e.what());
      return;
    }
    if (row.rank < 1) return;
    // PEFT's AdaLoRA divides by the number of triplets plus a small constant.
    row.scaling =
        adalora ? row.alpha / (static_cast<double>(row.rank) + 1e-5) : lora_scaling(*config_, row.rank, row.alpha);
    if (rank != row.rank && !adalora) {
      odd("'" + row.module + "' has rank " + std::to_string(row.rank) + "; adapter_config.json says " +
          std::to_string(rank));
    }
  }

  void check_totals(const std::vector<Row>& rows) {
    const auto all = static_cast<int64_t>(rows.size());
    const auto some = [&](int64_t count) {
      return count == all ? "all " + std::to_string(all) : std::to_string(count) + " of " + std::to_string(all);
    };
    if (zero_b_ > 0) odd("B is zero in " + some(zero_b_) + " pairs: they were not trained and add nothing");
    if (zero_a_ > 0) odd("A is zero in " + some(zero_a_) + " pairs: they add nothing");
    std::set<std::string> dtypes;
    for (const auto& [name, entry] : file_.entries()) dtypes.insert(written_dtype_name(entry.dtype));
    if (dtypes.size() > 1) {
      std::string list;
      for (const std::string& dtype : dtypes) list += (list.empty() ? "" : ", ") + dtype;
      odd("the tensors are of several dtypes: " + list);
    }
  }

  // Reports each kind of module that only some layers adapt, unless the configuration selects those layers.
  void check_layers() {
    std::map<std::string, int64_t> kinds;
    for (const auto& [module, pair] : contents_.pairs) ++kinds[kind_of(module)];
    int64_t most = base_.layers();
    for (const auto& [kind, count] : kinds) most = std::max(most, count);
    if (config_ && !config_->layers_to_transform.empty()) return;
    for (const auto& [kind, count] : kinds) {
      if (kind.find('*') == std::string::npos || count == most) continue;
      odd("'" + kind + "' is adapted in " + std::to_string(count) + " of " + std::to_string(most) + " layers");
    }
  }

  void check_tied_head() {
    if (!base_.has_tied_head()) return;
    const auto touches = [&](const std::string& module) {
      return contents_.pairs.contains(module) || std::ranges::count(contents_.whole, kPrefix + module + ".weight") > 0;
    };
    const bool embedding = touches("model.embed_tokens"), head = touches("lm_head");
    if (embedding == head) return;
    odd(std::string("the base's head is tied, and ") + (embedding ? "embed_tokens" : "lm_head") +
        " alone is trained: the two part, and a merged model has both");
  }

  void add_table(const std::vector<Row>& rows, bool each) {
    const auto number = [](double value) { return std::isnan(value) ? Json() : Json(value); };
    Table table{"adapted", "What is adapted", {}, {}};
    table.columns = {{"module", "module"}};
    if (!each) table.columns.push_back({"modules", "modules"});
    for (const auto& [key, title] :
         std::initializer_list<std::pair<const char*, const char*>>{{"rank", "rank"},
                                                                    {"alpha", "alpha"},
                                                                    {"scaling", "scaling"},
                                                                    {"shape", "shape"},
                                                                    {"parameters", "parameters"},
                                                                    {"norm", "‖ΔW‖"},
                                                                    {"relative_norm", "of ‖W‖"},
                                                                    {"largest_singular_value", "σ₁"},
                                                                    {"effective_rank", "eff. rank"},
                                                                    {"rank_99", "99 % in"}}) {
      table.columns.push_back({key, title});
    }
    std::map<std::string, size_t> place;
    std::vector<std::vector<const Row*>> groups;
    for (const Row& row : rows) {
      const std::string key =
          each ? row.module : kind_of(row.module) + c10::str("\n", row.rank, row.alpha, row.out, row.in, row.known);
      const auto [found, is_new] = place.emplace(key, groups.size());
      if (is_new) groups.emplace_back();
      groups[found->second].push_back(&row);
    }
    for (const auto& group : groups) {
      const Row& first = *group.front();
      const auto mean = [&](auto value) {
        double sum = 0;
        for (const Row* row : group) sum += value(*row);
        return sum / static_cast<double>(group.size());
      };
      int64_t parameters = 0;
      for (const Row* row : group) parameters += row->parameters;
      std::vector<Json> cells = {each ? first.module : kind_of(first.module)};
      if (!each) cells.push_back(static_cast<int64_t>(group.size()));
      cells.push_back(first.rank);
      cells.push_back(number(first.alpha));
      cells.push_back(number(first.scaling));
      cells.push_back(first.known ? Json({first.out, first.in}) : Json());
      cells.push_back(parameters);
      if (first.known) {
        cells.push_back(mean([](const Row& row) { return row.delta.norm; }));
        cells.push_back(number(mean([](const Row& row) { return row.relative; })));
        cells.push_back(mean([](const Row& row) { return row.delta.largest; }));
        cells.push_back(mean([](const Row& row) { return row.delta.effective_rank; }));
        cells.push_back(mean([](const Row& row) { return static_cast<double>(row.delta.rank_99); }));
      } else {
        cells.insert(cells.end(), 5, Json());
      }
      table.rows.push_back(std::move(cells));
    }
    if (!each && groups.size() < rows.size()) table.title += ": means over layers";
    inspection_.tables.push_back(std::move(table));
  }

  void add_whole() {
    Table table{"trained_whole",
                "Beside the pairs",
                {{"name", "tensor"}, {"what", "what"}, {"shape", "shape"}, {"parameters", "parameters"}},
                {}};
    int64_t all = 0, saved = 0;
    for (const auto& [name, entry] : file_.entries()) all += numel(entry);
    for (const std::string& name : contents_.whole) {
      const TensorEntry& entry = file_.entries().at(name);
      const bool copy = name.ends_with(".base_layer.weight");
      const bool rows = name.ends_with(".trainable_tokens_delta");
      const char* what = copy                      ? "the base's own"
                         : rows                    ? "rows of tokens"
                         : name.ends_with(".bias") ? "bias"
                                                   : "trained whole";
      if (!copy) saved += numel(entry);
      if (!name.starts_with(kPrefix)) odd("'" + name + "' has no name that PEFT gives");
      const ValueStats stats = value_stats(file_.tensor(name));
      if (stats.nans + stats.infinities > 0) odd("'" + name + "' has values that are NaN or infinite");
      table.rows.push_back({name, what, entry.shape, numel(entry)});
    }
    if (saved > all / 2 && !contents_.pairs.empty()) {
      odd("modules_to_save and what else is trained whole makes up " +
          fixed(100.0 * static_cast<double>(saved) / static_cast<double>(all), 0) + " % of the file");
    }
    inspection_.tables.push_back(std::move(table));
  }

  const SafetensorsFile& file_;
  const std::optional<AdapterConfig>& config_;
  Contents contents_;
  BaseWeights base_;
  Inspection& inspection_;
  std::set<std::string> pattern_errors_;
  int64_t zero_a_ = 0, zero_b_ = 0;
};

std::string patterns_text(const ModulePatterns& patterns) {
  if (std::holds_alternative<AllLinear>(patterns)) return "all-linear";
  if (const auto* regex = std::get_if<std::string>(&patterns)) return *regex;
  std::string text;
  for (const std::string& name : std::get<std::vector<std::string>>(patterns))
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

bool holds_adapter(const SafetensorsFile& file) {
  return std::ranges::any_of(file.entries(), [](const auto& item) { return part_of(item.first) != nullptr; });
}

std::optional<AdapterConfig> describe_adapter_config(const fs::path& directory, Inspection& inspection) {
  if (!fs::exists(directory / kPeftConfigFile)) {
    inspection.odd.push_back("no adapter_config.json: what the pairs are scaled by is not known, 1 is taken");
    return {};
  }
  try {
    PeftAdapter adapter = read_peft_config(directory);
    const AdapterConfig& config = adapter.config;
    const auto add = [&](const char* key, const char* title, const Json& value) {
      if (!value.is_null() && value != "") inspection.facts.push_back({key, title, value});
    };
    add("base_model", "Base", adapter.base_model);
    add("task_type", "Task", adapter.task_type);
    add("method", "Method", config.method);
    add("rank", "Rank", config.rank);
    add("alpha", "Alpha", config.alpha);
    add("use_rslora", "rsLoRA", config.use_rslora ? Json(true) : Json());
    add("dropout", "Dropout", config.dropout > 0 ? Json(config.dropout) : Json());
    add("target_modules", "Targets", patterns_text(config.target_modules));
    add("exclude_modules", "Excluded", patterns_text(config.exclude_modules));
    add("modules_to_save", "Trained whole", patterns_text(config.modules_to_save));
    add("bias", "Biases", config.bias == Bias::kNone ? Json() : Json(name_of(config.bias)));
    return config;
  } catch (const Error& e) {
    inspection.odd.push_back(e.what());
    return {};
  }
}

void describe_adapter(const SafetensorsFile& file, const std::optional<AdapterConfig>& config, const fs::path& base,
                      bool each, Inspection& inspection) {
  Adapter(file, config, base, inspection).describe(each);
}

}  // namespace lora
