#include "lora/recipe/convert.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <system_error>
#include <vector>

#include "lora/data/format.h"
#include "lora/recipe/foreign_defaults.h"
#include "lora/recipe/foreign_file.h"
#include "lora/recipe/needless_keys.h"
#include "lora/recipe/recipe_text.h"
#include "lora/recipe/values.h"
#include "models/base/error.h"
#include "models/base/names.h"

namespace lora {
namespace {

using Kind = YamlNode::Kind;

std::string list_text(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + print_text(word);
  return "[" + text + "]";
}

// A name that no file can have, such as one too long, is one of none.
bool is_on_disk(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

class Converter {
 public:
  Converter(const YamlNode& root, std::string tool) : file_{.root = root, .tool = std::move(tool)} {
    for (const YamlEntry& entry : file_.root.entries) convert(entry.key, entry.value);
    fill_gaps(file_);
    if (!file_.recipe.has("data.train.0")) file_.recipe.settle("data.train: the file names no data");
  }

  std::string text(const std::string& file) const {
    return file_.recipe.text(file + " of " + file_.tool + ", as a recipe. Its defaults are those of " +
                             foreign_version(file_.tool) + ".");
  }

 private:
  using Handler = std::function<void(const std::string& key, const YamlNode& value)>;

  void leave_out(const std::string& key, const YamlNode& value, const std::string& why) {
    file_.recipe.leave_out(key, flow_text(value), why);
  }
  void put(const std::string& path, const std::string& value, const std::string& key) {
    file_.recipe.put(path, value, key);
  }

  void convert(const std::string& key, const YamlNode& value) {
    const std::string path = own_path(key);
    const bool is_off = value.is(Kind::kScalar) && value.text == "false" && own_default(path) == "true";
    if (is_off || !says_nothing(value)) file_.said.insert(path);
    if (is_off) return put(path, "false", key);
    if (says_nothing(value)) return;
    if (const auto special = specials().find(key); special != specials().end()) return special->second(key, value);
    if (const std::string reason = needless_reason(key); !reason.empty()) return leave_out(key, value, reason);
    if (path.empty()) return leave_out(key, value, "no counterpart");
    put(path, flow_text(value), key);
  }

  const std::map<std::string, Handler>& specials() {
    using Key = const std::string&;
    using Value = const YamlNode&;
    if (!specials_.empty()) return specials_;
    const auto all = [&](const std::vector<const char*>& keys, const Handler& handler) {
      for (const char* key : keys) specials_[key] = handler;
    };
    all({"base_model", "model_name_or_path"}, [&](Key key, Value value) {
      put("model.path", print_text(value.text), key);
      if (!is_on_disk(value.text)) {
        file_.recipe.settle("model.path: a directory, as  hf download " + value.text +
                            " --local-dir DIRECTORY  makes it");
      }
    });
    all({"adapter", "finetuning_type"}, [&](Key key, Value value) {
      if (value.text == "qlora") {
        file_.recipe.set("model.quantization", "nf4");
      } else if (value.text == "full") {
        file_.recipe.set("adapter.method", "full");
      } else if (value.text != "lora") {
        leave_out(key, value, "this method is not supported; expected lora, qlora or full");
      }
    });
    all({"load_in_4bit"}, [&](Key, Value) { file_.recipe.set("model.quantization", "nf4"); });
    all({"load_in_8bit"}, [&](Key, Value) { file_.recipe.set_once("model.quantization", "int8"); });
    all({"quantization_bit"},
        [&](Key key, Value value) { put("model.quantization", value.text == "4" ? "nf4" : "int8", key); });
    all({"quantization_method"}, [&](Key key, Value value) {
      if (value.text != "bnb" && value.text != "bitsandbytes") leave_out(key, value, "no counterpart");
    });
    all({"bf16", "bfloat16", "pure_bf16"}, [](Key, Value) {});  // settle_dtype() asks for them
    all({"fp16"}, [&](Key key, Value value) { leave_out(key, value, "float16 is computed in float32: model.dtype"); });
    all({"use_dora", "peft_use_dora"}, [&](Key, Value) { file_.recipe.set("adapter.method", "dora"); });
    all({"pissa_init"}, [&](Key, Value) {
      const YamlNode* steps = file_.given("pissa_iter");  // LLaMA-Factory's default is 16
      const std::string count = steps ? flow_text(*steps) : "16";
      put("adapter.init", count == "-1" ? "pissa" : "pissa_niter_" + count, "pissa_iter");
    });
    all({"pissa_iter"}, [](Key, Value) {});
    all({"lora_target_linear"}, [&](Key, Value) { file_.recipe.set("adapter.target_modules", "all-linear"); });
    all({"lora_target", "lora_target_modules"}, [&](Key key, Value value) {
      const std::vector<std::string> words = words_of(value);
      const bool linear = words == std::vector<std::string>{"all"} || words == std::vector<std::string>{"all-linear"};
      if (!file_.recipe.has("adapter.target_modules")) {
        put("adapter.target_modules", linear ? "all-linear" : list_text(words), key);
      }
    });
    all({"additional_target", "lora_modules_to_save"},
        [&](Key key, Value value) { put("adapter.modules_to_save", list_text(words_of(value)), key); });
    all({"micro_batch_size", "per_device_train_batch_size"},
        [&](Key, Value value) { file_.rows = count_in(value, 1); });
    all({"gradient_accumulation_steps"}, [&](Key, Value value) { file_.passes = count_in(value, 1); });
    all({"datasets", "dataset", "dataset_name"}, [&](Key key, Value value) { sources("data.train", key, value); });
    all({"test_datasets", "eval_dataset"}, [&](Key key, Value value) { sources("data.validation", key, value); });
    all({"dataset_dir", "dataset_config", "dataset_train_split", "dataset_test_split"},
        [&](Key key, Value value) { leave_out(key, value, "data.train names each file by its path"); });
    all({"disable_shuffling"}, [&](Key, Value) { file_.recipe.set("data.shuffle", "false"); });
    all({"stage"}, [&](Key key, Value value) {
      const std::map<std::string, std::string> stages = {{"dpo", "dpo"}, {"kto", "kto"}, {"rm", "reward"}};
      if (const auto found = stages.find(value.text); found != stages.end()) {
        file_.recipe.set_once("training.objective", found->second);
      } else if (value.text != "sft" && value.text != "pt") {
        leave_out(key, value, "this stage is not supported");
      }
    });
    all({"rl", "pref_loss"}, [&](Key key, Value value) {
      if (value.text == "kto_pair") return leave_out(key, value, "no counterpart");
      if (value.text == "hinge") {
        file_.recipe.set("training.objective", "dpo");
        file_.recipe.set("training.preference.loss", "hinge");
      } else if (value.text == "sigmoid") {
        file_.recipe.set("training.objective", "dpo");
      } else {
        put("training.objective", print_text(value.text), key);
      }
    });
    all({"reward_model"}, [&](Key key, Value value) {
      if (!is_true(value)) return leave_out(key, value, "no counterpart");  // LLaMA-Factory's, of PPO
      file_.recipe.set("training.objective", "reward");
    });
    all({"beta", "rl_beta"}, [&](Key key, Value value) {
      file_.recipe.set_once("training.objective", "dpo");
      put("training.preference.beta", flow_text(value), key);
    });
    all({"loss_type"}, [&](Key key, Value value) {
      const std::vector<std::string> words = words_of(value);
      if (words.size() != 1) return leave_out(key, value, "training.preference.loss is one loss");
      if (words[0] == "nll" || words[0] == "chunked_nll") return;  // what trl sft computes by default
      if (words[0] == "dft") return leave_out(key, value, "no counterpart");
      file_.recipe.set_once("training.objective", words[0] == "kto" || words[0] == "apo_zero_unpaired" ? "kto" : "dpo");
      if (words[0] != "kto") put("training.preference.loss", print_text(words[0]), key);
    });
    all({"train_on_inputs", "train_on_prompt"}, [&](Key, Value) { file_.recipe.set("data.train_on", "all"); });
    all({"mask_history"}, [&](Key, Value) { file_.recipe.set("data.train_on", "last_turn"); });
    all({"assistant_only_loss", "completion_only_loss"}, [&](Key, Value) { file_.said.insert("data.train_on"); });
    all({"disable_dropout"}, [](Key, Value) {});  // settle_dropout() asks for it
    all({"chat_template", "template"}, [&](Key key, Value value) {
      if (value.text != "default") put("data.template", print_text(value.text), key);
    });
    all({"warmup_steps"}, [&](Key key, Value value) {
      const double steps = number_in(value, 0);  // a share, where it is below 1
      put(steps > 0 && steps < 1 ? "training.warmup_ratio" : "training.warmup_steps", flow_text(value), key);
    });
    all({"eval_steps", "save_steps"}, [&](Key key, Value value) {
      const std::string path = own_path(key);
      if (number_in(value, 0) >= 1) return put(path, flow_text(value), key);
      leave_out(key, value, path + " is a number of steps");
    });
    all({"evals_per_epoch", "saves_per_epoch"}, [&](Key key, Value value) {
      const std::string path = key == "evals_per_epoch" ? "training.eval_every" : "training.checkpoint_every";
      file_.said.insert(path);
      leave_out(key, value, path + " is a number of steps; --dry-run tells how many an epoch has");
    });
    all({"eval_strategy", "evaluation_strategy", "save_strategy"}, [&](Key key, Value value) {
      const std::string path = key == "save_strategy" ? "training.checkpoint_every" : "training.eval_every";
      if (value.text == "steps") return;
      file_.said.insert(path);
      if (value.text != "no") leave_out(key, value, path + " is a number of steps; 0: at the end alone");
    });
    all({"max_steps"}, [&](Key key, Value value) {
      if (number_in(value, -1) > 0) put("training.max_steps", flow_text(value), key);
    });
    all({"tokens"}, [&](Key key, Value value) { put("model.new_tokens", list_text(words_of(value)), key); });
    all({"report_to"}, [&](Key key, Value value) {
      std::vector<std::string> others = words_of(value);
      if (std::erase(others, "tensorboard") > 0) file_.recipe.set("logging", "[tensorboard]");
      if (!others.empty() && others != std::vector<std::string>{"none"}) {
        leave_out(key, value, "metrics.jsonl and report.html are written, and with logging TensorBoard's event files");
      }
    });
    return specials_;
  }

  // A list of axolotl's maps, or names: each becomes an entry of our list.
  void sources(const std::string& list, const std::string& key, const YamlNode& value) {
    if (file_.recipe.has(list + ".0")) return leave_out(key, value, "another key names the data");
    size_t count = 0;
    const auto add = [&](const std::string& path, const std::string& format) {
      file_.recipe.set(
          list + "." + std::to_string(count++),
          "{path: " + print_text(path) + ", format: " + (accepts(format_names(), format) ? format : "auto") + "}");
      if (list == "data.train" && format != "text") file_.has_prompts = true;
      if (!is_on_disk(path)) {
        file_.recipe.settle(list + ": '" + path +
                            "' as a file here: JSON Lines, JSON, CSV, and Parquet where it is built in");
      }
    };
    if (!value.is(Kind::kList) || (!value.items.empty() && value.items[0].is(Kind::kScalar))) {
      const bool by_name = file_.tool == "LLaMA-Factory";  // of dataset_info.json
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

  ForeignFile file_;
  std::map<std::string, Handler> specials_;
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
