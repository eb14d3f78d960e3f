#include "lora/recipe/foreign_defaults.h"

namespace lora {
namespace {

using Settings = ForeignSettings;

struct Row {
  const char *path, *value;
  bool (*holds)(const Settings&);
  const char* comment = "";  // in place of "TOOL's default"
};

bool always(const Settings&) { return true; }
bool has_adapter(const Settings& s) { return s.has_adapter; }
bool learns_text(const Settings& s) { return s.objective == "causal_lm"; }
bool learns_rewards(const Settings& s) { return s.objective == "reward"; }
bool compares_answers(const Settings& s) { return !learns_text(s) && !learns_rewards(s); }

const std::vector<Row>& axolotl_rows() {
  static const std::vector<Row> rows = {
      {"data.overlong", "drop", [](const Settings& s) { return !s.of_plain_text; }},
      {"data.overlong", "split", [](const Settings& s) { return s.of_plain_text; }, "as axolotl does with plain text"},
      {"training.packing", "false", learns_text},
      {"training.preference.cpo_alpha", "1.0", [](const Settings& s) { return s.objective == "simpo"; }},
      {"training.epochs", "1", always},
      {"training.warmup_ratio", "0.03", always, "axolotl's default, there for 100 steps at most"},
      {"training.checkpoint_keep", "4", always},
      {"output_dir", "model-out", always},
  };
  return rows;
}

// What transformers' Trainer does in LLaMA-Factory and in TRL.
const std::vector<Row>& trainer_rows() {
  static const std::vector<Row> rows = {
      {"training.packing", "false", [](const Settings& s) { return learns_text(s) && !s.of_plain_text; }},
      {"training.epochs", "3", always},
      {"training.lr_schedule", "linear", always},
      {"training.checkpoint_every", "500", always},
      {"output_dir", "trainer_output", always},
  };
  return rows;
}

const std::vector<Row>& llama_factory_rows() {
  static const std::vector<Row> rows = {
      {"data.overlong", "split", [](const Settings& s) { return s.of_plain_text; }, "as stage pt does"},
      {"data.shuffle_buffer", "16384", [](const Settings& s) { return s.is_streamed; }},
      {"training.max_length", "2048", always},
      {"training.learning_rate", "5.0e-5", always},
  };
  return rows;
}

const std::vector<Row>& trl_rows() {
  static const std::vector<Row> rows = {
      {"model.double_quantization", "false", [](const Settings& s) { return s.in_four_bits; }},
      {"adapter.rank", "16", has_adapter},
      {"adapter.alpha", "32", has_adapter},
      // The trainers of preferences and rewards switch dropout off.
      {"adapter.dropout", "0.05", [](const Settings& s) { return s.has_adapter && learns_text(s); }},
      {"adapter.target_modules", "[q_proj, v_proj]", has_adapter, "PEFT's default for Llama, Mistral, Qwen and Gemma"},
      {"data.train_on", "all", learns_text, "TRL's default for messages and text; for prompt, completion: assistant"},
      {"data.shuffle", "false", [](const Settings& s) { return s.objective == "kto"; }},
      {"training.max_length", "1024", always},
      {"training.learning_rate", "2.0e-5", learns_text},
      {"training.learning_rate", "1.0e-4", learns_rewards},
      {"training.learning_rate", "1.0e-6", compares_answers},
  };
  return rows;
}

}  // namespace

std::vector<ForeignDefault> foreign_defaults(const ForeignSettings& settings) {
  std::vector<ForeignDefault> defaults;
  const auto take = [&](const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      if (!row.holds(settings)) continue;
      const std::string comment = row.comment;
      defaults.push_back({row.path, row.value, comment.empty() ? settings.tool + "'s default" : comment});
    }
  };
  if (settings.tool == "axolotl") {
    take(axolotl_rows());
  } else {
    take(settings.tool == "TRL" ? trl_rows() : llama_factory_rows());
    take(trainer_rows());
  }
  return defaults;
}

std::string foreign_version(const std::string& tool) {
  return tool + (tool == "axolotl" ? " 0.15" : tool == "TRL" ? " 1.16" : " 0.9.4");
}

ForeignBatch foreign_batch(const std::string& tool) {
  return tool == "axolotl" ? ForeignBatch{1, 1} : ForeignBatch{8, 1};
}

}  // namespace lora
