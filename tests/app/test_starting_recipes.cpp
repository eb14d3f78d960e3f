// The recipes to start from: found beside the program, written by it, and fit for the models that they are made for.

#include "lora/app/training/config_plan.h"
#include "lora/recipe/starting.h"
#include "tests/app/runs.h"

using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

// config.json of the models that recipes name, as far as their shape goes.
const std::map<std::string, std::string>& model_configs() {
  static const std::map<std::string, std::string> configs = {
      {"Llama-3.1-8B-Instruct", R"({"model_type": "llama", "vocab_size": 128256, "hidden_size": 4096,
        "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "rope_scaling": {"factor": 8.0,
        "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "hidden_act": "silu", "tie_word_embeddings": false, "bos_token_id": 128000, "eos_token_id": [128001, 128009],
        "torch_dtype": "bfloat16"})"},
      {"Qwen3-4B", R"({"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728,
        "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 40960, "rms_norm_eps": 1e-06, "rope_theta": 1000000, "rope_scaling": null,
        "attention_bias": false, "hidden_act": "silu", "tie_word_embeddings": true, "use_sliding_window": false,
        "sliding_window": null, "max_window_layers": 36, "bos_token_id": 151643, "eos_token_id": 151645,
        "torch_dtype": "bfloat16"})"},
      {"Qwen3-0.6B", R"({"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072,
        "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 40960, "rms_norm_eps": 1e-06, "rope_theta": 1000000, "rope_scaling": null,
        "attention_bias": false, "hidden_act": "silu", "tie_word_embeddings": true, "use_sliding_window": false,
        "sliding_window": null, "max_window_layers": 28, "bos_token_id": 151643, "eos_token_id": 151645,
        "torch_dtype": "bfloat16"})"},
      {"gemma-3-1b-it", R"({"model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152,
        "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1,
        "head_dim": 256, "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "rope_theta": 1000000,
        "rope_local_base_freq": 10000, "rope_scaling": null, "sliding_window": 512, "sliding_window_pattern": 6,
        "query_pre_attn_scalar": 256, "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false,
        "attn_logit_softcapping": null, "final_logit_softcapping": null, "bos_token_id": 2, "eos_token_id": [1, 106],
        "torch_dtype": "bfloat16"})"},
      {"Mistral-7B-Instruct-v0.3", R"({"model_type": "mistral", "vocab_size": 32768, "hidden_size": 4096,
        "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 128, "max_position_embeddings": 32768, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
        "sliding_window": null, "hidden_act": "silu", "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "bfloat16"})"}};
  return configs;
}

// A folder with every model's config.json and files of the names that recipes read.
void write_surroundings(const fs::path& directory) {
  for (const auto& [name, config] : model_configs()) {
    fs::create_directories(directory / "models" / name);
    write_bytes(directory / "models" / name / "config.json", config);
  }
  fs::create_directories(directory / "data");
  const std::string chat = R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  for (const char* name : {"train.jsonl", "validation.jsonl"}) write_bytes(directory / "data" / name, chat + "\n");
  write_bytes(directory / "data/instructions.jsonl", R"({"instruction": "a", "input": "", "output": "b"})"
                                                     "\n");
  for (const char* name : {"text-1.jsonl.gz", "validation-text.jsonl"}) {
    write_bytes(directory / "data" / name, "{\"text\": \"a\"}\n");
  }
  fs::create_directories(directory / "runs/quickstart-assets");
  fs::copy(quickstart() / "model", directory / "runs/quickstart-assets/model");
  for (const char* name : {"corpus.jsonl", "corpus-validation.jsonl"}) {
    write_bytes(directory / "runs/quickstart-assets" / name,
                "{\"text\": \"a village\"}\n{\"text\": \"another one\"}\n");
  }
}

bool names_quickstart(const std::string& text) { return text.find("/quickstart/model") != std::string::npos; }

}  // namespace

TEST_CASE("every recipe to start from fits the model that it is made for, by its config.json alone") {
  const TemporaryDirectory directory;
  write_surroundings(directory.path());
  const fs::path recipes = source_dir() / "recipes";
  int planned = 0;
  for (const auto& [name, about] : lora::starting_recipes(recipes)) {
    CAPTURE(name);
    const fs::path file = directory / (name + ".yaml");
    write_bytes(file, lora::starting_recipe(recipes, name));
    for (const lora::NamedRecipe& one : lora::load_recipes_to_run(file)) {
      CHECK(one.notes.empty());
      if (!lora::has_config_alone(one.recipe.model)) continue;
      ++planned;
      CHECK_THAT(lora::config_plan(one.recipe), Contains("parameters are trained") && Contains("Memory"));
    }
  }
  CHECK(planned >= 7);
}

TEST_CASE("every recipe to start from is dry-run by the program", "[.long]") {
  const TemporaryDirectory directory;
  write_surroundings(directory.path());
  const fs::path recipes = source_dir() / "recipes";
  for (const auto& [name, about] : lora::starting_recipes(recipes)) {
    CAPTURE(name);
    const fs::path file = directory / (name + ".yaml");
    write_bytes(file, lora::starting_recipe(recipes, name));
    const Outcome outcome = run({"lora-train", file.string(), "--dry-run"});
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Contains("parameters are trained"));
    CHECK(names_quickstart(read_bytes(file)) ==
          (outcome.out.find("Not read    weights") == std::string::npos && name != "quickstart-pretrain"));
  }
}

TEST_CASE("the program lists recipes to start from, writes one, and tells what it is") {
  const TemporaryDirectory directory;
  const Outcome list = run({"lora-train", "--list-recipes"});
  CHECK(list.exit_code == 0);
  CHECK_THAT(list.out,
             Contains("llama-3.1-8b-qlora") && Contains("preference-dpo") && Contains("lora-train --new NAME"));

  const std::string mine = (directory / "mine.yaml").string();
  const Outcome made = run({"lora-train", "--new", "quickstart", mine});
  CAPTURE(made.err);
  REQUIRE(made.exit_code == 0);
  CHECK_THAT(made.out, Contains("wrote " + mine));
  CHECK(run({"lora-train", mine, "--dry-run"}).exit_code == 0);
  check_refused({"lora-train", "--new", "quickstart", mine}, 2, {"is there already"});
  check_refused({"lora-train", "--new", "quikstart", mine + "2"}, 2, {"did you mean 'quickstart'?"});
  check_refused({"lora-train"}, 2, {"RECIPE", "--list-recipes"});

  const Outcome version = run({"lora-generate", "--version"});
  CHECK(version.exit_code == 0);
  CHECK_THAT(version.out, Contains("lora-generate 0.") && Contains("LibTorch     2.") && Contains("Instructions ") &&
                              Contains("Built with   "));
  CHECK_THAT(run({"lora-train", "--schema"}).out, Contains("json-schema.org"));
}
