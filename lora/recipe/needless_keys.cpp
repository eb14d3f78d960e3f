#include "lora/recipe/needless_keys.h"

#include <vector>

namespace lora {
namespace {

// A * at the end of a name stands for any rest.
struct Needless {
  const char* reason;
  std::vector<const char*> keys;
};

const std::vector<Needless>& needless_keys() {
  static const std::vector<Needless> table = {
      {"attention and layers are fused by themselves",
       {"flash_attention", "flash_attn", "sdp_attention", "xformers_attention", "attn_implementation", "use_unsloth",
        "enable_liger_kernel", "use_liger_kernel", "liger_*", "plugins", "torch_compile", "use_cache"}},
      {"the memory plan decides it; training.memory: low asks for the least",
       {"gradient_checkpointing", "gradient_checkpointing_kwargs", "disable_gradient_checkpointing",
        "low_cpu_mem_usage"}},
      {"every step is logged, to metrics.jsonl and report.html",
       {"logging_steps", "logging_strategy", "plot_loss", "logging_first_step", "run_name", "wandb_*", "mlflow_*",
        "comet_*", "swanlab_*"}},
      {"it is an option: lora-train --restart, which keeps what is there", {"overwrite_output_dir"}},
      {"training.eval_every and training.checkpoint_every say it, in steps",
       {"eval_strategy", "evaluation_strategy", "save_strategy"}},
      {"it is an option: lora-train --resume", {"resume_from_checkpoint", "auto_resume_from_checkpoints"}},
      {"processes are started by mpirun or srun",
       {"deepspeed", "fsdp", "fsdp_config", "ddp_*", "local_rank", "devices"}},
      {"prepared data is cached by itself; data.cache_dir says where",
       {"dataset_prepared_path", "overwrite_cache", "cache_dir", "tokenized_path"}},
      {"the number of threads is training.threads",
       {"preprocessing_num_workers", "dataset_num_proc", "dataloader_*", "dataset_processes"}},
      {"nothing is fetched from or sent to a network",
       {"hub_*", "hf_use_auth_token", "push_to_hub", "trust_remote_code"}},
      {"the model's config.json says it",
       {"model_type", "tokenizer_type", "tokenizer_config", "is_llama_derived_model", "is_mistral_derived_model",
        "tokenizer_name", "use_fast_tokenizer"}},
      {"rows are never padded to a length", {"pad_to_sequence_len", "group_by_length", "padding_free", "neat_packing"}},
      {"lora-train sees to it by itself",
       {"strict", "do_train", "do_eval", "tf32", "local_files_only", "pure_bf16", "bfloat16", "upcast_layernorm",
        "per_device_eval_batch_size", "eval_batch_size", "save_safetensors", "use_peft", "save_only_model",
        "bnb_4bit_compute_dtype", "bnb_4bit_quant_type"}},
  };
  return table;
}

}  // namespace

std::string needless_reason(const std::string& key) {
  for (const Needless& row : needless_keys()) {
    for (const std::string name : row.keys) {
      const bool any = name.ends_with('*') && key.starts_with(name.substr(0, name.size() - 1));
      if (any || key == name) return row.reason;
    }
  }
  return "";
}

}  // namespace lora
