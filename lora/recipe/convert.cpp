#include "lora/recipe/convert.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <vector>

#include "lora/data/format.h"
#include "lora/recipe/keys.h"
#include "lora/recipe/needless_keys.h"
#include "lora/recipe/recipe.h"
#include "lora/recipe/recipe_text.h"
#include "lora/recipe/values.h"
#include "models/base/error.h"
#include "models/base/names.h"

namespace lora {
namespace {

using Kind = YamlNode::Kind;

// Flow style, in one line.
std::string flow_text(const YamlNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kScalar:
      return !node.quoted && (is_number(node.text) || is_bool(node.text)) ? node.text : print_text(node.text);
    case Kind::kList:
    case Kind::kMap:
      break;
  }
  std::string text;
  for (const YamlNode& item : node.items) text += (text.empty() ? "" : ", ") + flow_text(item);
  for (const YamlEntry& entry : node.entries) {
    text += (text.empty() ? "" : ", ") + print_text(entry.key) + ": " + flow_text(entry.value);
  }
  return node.is(Kind::kList) ? "[" + text + "]" : "{" + text + "}";
}

bool is_true(const YamlNode& node) { return node.is(Kind::kScalar) && (node.text == "true" || node.text == "auto"); }

bool says_nothing(const YamlNode& node) {
  return node.is(Kind::kNull) || (node.is(Kind::kScalar) && (node.text.empty() || node.text == "false")) ||
         ((node.is(Kind::kList) || node.is(Kind::kMap)) && node.items.empty() && node.entries.empty());
}

double number_of(const YamlNode& node, double otherwise) {
  double value = otherwise;
  if (node.is(Kind::kScalar)) std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
  return value;
}

std::vector<std::string> words_of(const YamlNode& node) {
  std::vector<std::string> words;
  for (const YamlNode& item : node.items) words.push_back(item.text);
  std::string word;
  for (const char c : node.is(Kind::kScalar) ? node.text + "," : std::string()) {
    if (c != ',') {
      if (c != ' ') word += c;
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

std::string list_text(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + print_text(word);
  return "[" + text + "]";
}

class Converter {
 public:
  Converter(const YamlNode& root, std::string tool) : root_(root), tool_(std::move(tool)) {
    for (const YamlEntry& entry : root_.entries) convert(entry.key, entry.value);
    settle_batch();
    settle_method();
    if (!values_.contains("output_dir")) put("output_dir", "runs/converted", "output_dir");
    const bool bounded = values_.contains("training.max_steps") || values_.contains("training.epochs");
    if (!bounded) put("training.epochs", "3", "num_train_epochs");  // the default of all three
    if (values_.contains("training.max_steps")) values_.erase("training.epochs");
    if (!values_.contains("data.train.0")) to_settle("data.train: the file names no data");
  }

  std::string text(const std::string& file) const {
    std::string out = "# " + one_comment(file) + " of " + tool_ + ", as a recipe.\n";
    const auto list = [&](const char* title, const std::vector<std::string>& notes) {
      if (!notes.empty()) out += std::string("#\n# ") + title + "\n";
      for (const std::string& note : notes) out += "#   " + one_comment(note) + "\n";
    };
    out += "# What the file leaves unsaid is a default of lora-train: lora-train RECIPE --dry-run shows all of them.\n";
    list("To settle:", settle_);
    list("Left out:", left_out_);
    std::string section;
    for (const auto& [path, value] : in_order()) {
      const size_t dot = path.find('.');
      const std::string top = dot == std::string::npos ? "" : path.substr(0, dot);
      if (top != section && !top.empty()) out += top + ":\n";
      section = top;
      out += top.empty() ? path + ": " + value + "\n" : nested(path.substr(dot + 1), value);
    }
    return out;
  }

 private:
  using Handler = std::function<void(const std::string& key, const YamlNode& value)>;

  void leave_out(const std::string& key, const YamlNode& value, const std::string& why) {
    left_out_.push_back(key + ": " + flow_text(value) + (why.empty() ? "" : "  (" + why + ")"));
  }
  void to_settle(const std::string& what) { settle_.push_back(what); }

  // Takes a value for our key, if the recipe's reader does; with another tool's name of it replaced by ours.
  bool put(const std::string& path, std::string value, const std::string& key) {
    std::string problem = value_problem(path, value);
    static const std::regex hint("did you mean '([^']+)'");
    if (std::smatch match; std::regex_search(problem, match, hint)) {
      value = match[1];
      problem = value_problem(path, value);
    }
    if (problem.empty()) {
      values_[path] = value;
    } else {
      left_out_.push_back(key + ": " + value + "  (" + problem + ")");
    }
    return problem.empty();
  }

  void convert(const std::string& key, const YamlNode& value) {
    if (const auto special = specials().find(key); special != specials().end()) {
      if (!says_nothing(value)) special->second(key, value);
      return;
    }
    if (const std::string reason = needless_reason(key); !reason.empty()) {
      return says_nothing(value) ? void() : leave_out(key, value, reason);
    }
    if (says_nothing(value)) return;
    if (const std::string path = own_path(key); !path.empty()) {
      put(path, flow_text(value), key);
    } else {
      leave_out(key, value, "no counterpart");
    }
  }

  // Our key of that name or, by the synonyms, of that meaning.
  static std::string own_path(const std::string& key) {
    const auto synonym = key_synonyms().find(key);
    if (synonym != key_synonyms().end()) return synonym->second.path;
    if (key == "output_dir") return key;
    for (const char* section : {"training", "data", "adapter", "model"}) {
      const auto& keys = known_keys().at(section);
      if (std::ranges::count(keys, key) > 0) return std::string(section) + "." + key;
    }
    return "";
  }

  const std::map<std::string, Handler>& specials() {
    using Key = const std::string&;
    using Value = const YamlNode&;
    if (!specials_.empty()) return specials_;
    const auto all = [&](std::vector<const char*> keys, const Handler& handler) {
      for (const char* key : keys) specials_[key] = handler;
    };
    all({"base_model", "model_name_or_path"}, [&](Key key, Value value) {
      if (put("model.path", print_text(value.text), key) && !std::filesystem::exists(value.text)) {
        to_settle("model.path: a directory, as  hf download " + value.text + " --local-dir DIRECTORY  makes it");
      }
    });
    all({"adapter", "finetuning_type"}, [&](Key key, Value value) {
      if (value.text == "qlora") {
        values_["model.quantization"] = "nf4";
      } else if (value.text == "full") {
        values_["adapter.method"] = "full";
      } else if (value.text != "lora") {
        leave_out(key, value, "this method is not supported; expected lora, qlora or full");
      }
    });
    all({"load_in_4bit"}, [&](Key, Value) { values_["model.quantization"] = "nf4"; });
    all({"load_in_8bit"}, [&](Key, Value) { values_.emplace("model.quantization", "int8"); });
    all({"quantization_bit"},
        [&](Key key, Value value) { put("model.quantization", value.text == "4" ? "nf4" : "int8", key); });
    all({"quantization_method"}, [&](Key key, Value value) {
      if (value.text != "bnb" && value.text != "bitsandbytes") leave_out(key, value, "no counterpart");
    });
    all({"bf16"}, [&](Key, Value) { values_["model.dtype"] = "bfloat16"; });
    all({"fp16"}, [&](Key key, Value value) { leave_out(key, value, "float16 is computed in float32: model.dtype"); });
    all({"use_dora", "peft_use_dora"}, [&](Key, Value) { values_["adapter.method"] = "dora"; });
    all({"pissa_init"}, [&](Key, Value) { values_["adapter.init"] = "pissa"; });
    all({"lora_target_linear"}, [&](Key, Value) { values_["adapter.target_modules"] = "all-linear"; });
    all({"lora_target", "lora_target_modules"}, [&](Key key, Value value) {
      const std::vector<std::string> words = words_of(value);
      const bool linear = words == std::vector<std::string>{"all"} || words == std::vector<std::string>{"all-linear"};
      if (!values_.contains("adapter.target_modules")) {
        put("adapter.target_modules", linear ? "all-linear" : list_text(words), key);
      }
    });
    all({"additional_target", "lora_modules_to_save"},
        [&](Key key, Value value) { put("adapter.modules_to_save", list_text(words_of(value)), key); });
    all({"micro_batch_size", "per_device_train_batch_size"},
        [&](Key, Value value) { rows_ = static_cast<int64_t>(number_of(value, 1)); });
    all({"gradient_accumulation_steps"},
        [&](Key, Value value) { passes_ = static_cast<int64_t>(number_of(value, 1)); });
    all({"datasets", "dataset", "dataset_name"}, [&](Key key, Value value) { sources("data.train", key, value); });
    all({"test_datasets", "eval_dataset"}, [&](Key key, Value value) { sources("data.validation", key, value); });
    all({"dataset_dir", "dataset_config", "dataset_train_split", "dataset_test_split"},
        [&](Key key, Value value) { leave_out(key, value, "data.train names each file by its path"); });
    all({"stage"}, [&](Key key, Value value) {
      const std::map<std::string, std::string> stages = {{"dpo", "dpo"}, {"kto", "kto"}, {"rm", "reward"}};
      if (const auto found = stages.find(value.text); found != stages.end()) {
        values_.emplace("training.objective", found->second);
      } else if (value.text != "sft" && value.text != "pt") {
        leave_out(key, value, "this stage is not supported");
      }
    });
    all({"rl", "pref_loss"}, [&](Key key, Value value) {
      if (value.text == "kto_pair") return leave_out(key, value, "no counterpart");
      if (value.text == "hinge") {
        values_["training.objective"] = "dpo";
        values_["training.preference.loss"] = "hinge";
      } else if (value.text == "sigmoid") {
        values_["training.objective"] = "dpo";
      } else {
        put("training.objective", print_text(value.text), key);
      }
    });
    all({"beta", "rl_beta"}, [&](Key key, Value value) {
      values_.emplace("training.objective", "dpo");
      put("training.preference.beta", flow_text(value), key);
    });
    all({"train_on_inputs", "train_on_prompt"}, [&](Key, Value) { values_["data.train_on"] = "all"; });
    all({"mask_history"}, [&](Key, Value) { values_["data.train_on"] = "last_turn"; });
    all({"assistant_only_loss", "completion_only_loss"}, [](Key, Value) {});
    all({"chat_template", "template"}, [&](Key key, Value value) {
      if (value.text != "default") put("data.template", print_text(value.text), key);
    });
    all({"eval_steps", "save_steps"}, [&](Key key, Value value) {
      const std::string path = key == "eval_steps" ? "training.eval_every" : "training.checkpoint_every";
      if (number_of(value, 0) >= 1) return void(put(path, flow_text(value), key));
      leave_out(key, value, path + " is a number of steps");
    });
    all({"evals_per_epoch", "saves_per_epoch"}, [&](Key key, Value value) {
      const bool evaluates = key == "evals_per_epoch";
      leave_out(key, value,
                std::string(evaluates ? "training.eval_every" : "training.checkpoint_every") +
                    " is a number of steps; --dry-run tells how many an epoch has");
    });
    all({"max_steps"}, [&](Key key, Value value) {
      if (number_of(value, -1) > 0) put("training.max_steps", flow_text(value), key);
    });
    all({"tokens"}, [&](Key key, Value value) { put("model.new_tokens", list_text(words_of(value)), key); });
    all({"report_to"}, [&](Key key, Value value) {
      std::vector<std::string> others = words_of(value);
      if (std::erase(others, "tensorboard") > 0) values_["logging"] = "[tensorboard]";
      if (!others.empty() && others != std::vector<std::string>{"none"}) {
        leave_out(key, value, "metrics.jsonl and report.html are written, and with logging TensorBoard's event files");
      }
    });
    return specials_;
  }

  // A list of axolotl's maps, or names: each becomes an entry of our list.
  void sources(const std::string& list, const std::string& key, const YamlNode& value) {
    size_t count = 0;
    const auto add = [&](const std::string& path, const std::string& format) {
      values_[list + "." + std::to_string(count++)] =
          "{path: " + print_text(path) + ", format: " + (accepts(format_names(), format) ? format : "auto") + "}";
      if (!std::filesystem::exists(path)) {
        to_settle(list + ": '" + path + "' as a file here: JSON Lines, JSON, CSV, and Parquet where it is built in");
      }
    };
    if (!value.is(Kind::kList) || (!value.items.empty() && value.items[0].is(Kind::kScalar))) {
      const bool by_name = tool_ == "LLaMA-Factory";  // of dataset_info.json
      for (const std::string& name : words_of(value)) add(by_name ? "data/" + name + ".json" : name, "auto");
      return;
    }
    for (const YamlNode& item : value.items) {
      const YamlNode *path = item.find("path"), *type = item.find("type"), *files = item.find("data_files");
      if (files && files->is(Kind::kScalar)) path = files;
      if (!path || !path->is(Kind::kScalar)) {
        leave_out(key, item, "no path");
        continue;
      }
      std::string format = type && type->is(Kind::kScalar) ? type->text.substr(0, type->text.find('.')) : "auto";
      if (format == "chat_template") format = "chat";
      if (format == "completion") format = "text";  // axolotl's word for plain text
      add(path->text, format);
      for (const YamlEntry& entry : item.entries) {
        static const std::set<std::string> used = {"path", "type", "data_files", "ds_type"};
        if (!used.contains(entry.key) && !says_nothing(entry.value)) {
          leave_out(key + "." + std::to_string(count - 1) + "." + entry.key, entry.value,
                    "data.train.path, .fields, .template and .train_on say what they can");
        }
      }
      if (type && format != "auto" && !accepts(format_names(), format)) {
        leave_out(key + "." + std::to_string(count - 1) + ".type", *type, "format auto recognises the columns");
      }
    }
  }

  void settle_batch() {
    if (rows_ > 0) put("training.batch_size", std::to_string(rows_ * passes_), "gradient_accumulation_steps");
  }

  // Without the word, axolotl trains the network; TRL does so without use_peft.
  void settle_method() {
    const YamlNode* use_peft = root_.find("use_peft");
    const bool trains_network = tool_ == "axolotl" ? !root_.find("adapter") || says_nothing(*root_.find("adapter"))
                                : tool_ == "TRL"   ? !use_peft || !is_true(*use_peft)
                                                   : !root_.find("finetuning_type");
    const bool is_full = values_.contains("adapter.method") && values_.at("adapter.method") == "full";
    if (tool_ != "LLaMA-Factory" && trains_network) values_["adapter.method"] = "full";
    if (is_full || (tool_ != "LLaMA-Factory" && trains_network)) {
      std::erase_if(values_, [](const auto& value) {
        return value.first.starts_with("adapter.") && value.first != "adapter.method";
      });
      return;
    }
    values_.emplace("adapter.method", "lora");
    // Their defaults, which are not ours.
    if (!values_.contains("adapter.rank") && tool_ == "TRL") values_["adapter.rank"] = "16";
    if (!values_.contains("adapter.alpha")) {
      const double rank = values_.contains("adapter.rank") ? std::stod(values_.at("adapter.rank")) : 8;
      if (tool_ == "TRL") values_["adapter.alpha"] = "32";
      if (tool_ == "LLaMA-Factory") values_["adapter.alpha"] = std::to_string(static_cast<int64_t>(2 * rank));
    }
  }

  // As to_yaml writes them.
  std::vector<std::pair<std::string, std::string>> in_order() const {
    std::vector<std::pair<std::string, std::string>> ordered;
    std::set<std::string> written;
    const auto take = [&](const std::string& path) {
      for (const auto& [key, value] : values_) {
        if (!(key == path || key.starts_with(path + ".")) || !written.insert(key).second) continue;
        // "training.preference.beta" is a part of the map at "training.preference"; "data.train.0" is an item.
        const size_t last = key.rfind('.');
        const bool inner = std::ranges::count(key, '.') == 2 && !is_integer(key.substr(last + 1));
        const std::string outer = inner ? key.substr(0, last) : key;
        const std::string text = inner ? key.substr(last + 1) + ": " + value : value;
        if (inner && !ordered.empty() && ordered.back().first == outer) {
          ordered.back().second.insert(ordered.back().second.size() - 1, ", " + text);
        } else {
          ordered.emplace_back(outer, inner ? "{" + text + "}" : text);
        }
      }
    };
    for (const std::string& section : known_keys().at("")) {
      const auto keys = known_keys().find(section);
      if (keys != known_keys().end()) {
        for (const std::string& key : keys->second) take(section + "." + key);
      }
      take(section);
    }
    return ordered;
  }

  // A line of a section; "train.0" is the first item of a list.
  static std::string nested(const std::string& path, const std::string& value) {
    const size_t dot = path.find('.');
    if (dot == std::string::npos) return "  " + path + ": " + value + "\n";
    return (path.substr(dot + 1) == "0" ? "  " + path.substr(0, dot) + ":\n" : "") + "    - " + value + "\n";
  }

  // A file's text must not leave its comment.
  static std::string one_comment(std::string text) {
    std::ranges::replace_if(
        text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
    return text;
  }

  const YamlNode& root_;
  const std::string tool_;
  std::map<std::string, Handler> specials_;
  std::map<std::string, std::string> values_;  // our path -> YAML
  std::vector<std::string> left_out_, settle_;
  int64_t rows_ = 0, passes_ = 1;
};

}  // namespace

std::string foreign_tool(const YamlNode& root) {
  const auto has = [&](const char* key) { return root.find(key) != nullptr; };
  if (!root.is(Kind::kMap) || has("model") || has("training")) return "";
  if (has("base_model")) return "axolotl";
  if (!has("model_name_or_path")) return "";
  return has("finetuning_type") || has("stage") || has("template") || has("cutoff_len") ? "LLaMA-Factory" : "TRL";
}

std::string converted_recipe(const std::filesystem::path& file) {
  Problems problems;
  const YamlNode root = parse_document(read_recipe_bytes(file), {file.string(), true}, problems);
  problems.throw_any();
  const std::string tool = foreign_tool(root);
  if (tool.empty()) {
    throw RecipeError(file.string() +
                      ": expected a file of axolotl (base_model), LLaMA-Factory or TRL "
                      "(model_name_or_path)");
  }
  return Converter(root, tool).text(file.filename().string());
}

}  // namespace lora
