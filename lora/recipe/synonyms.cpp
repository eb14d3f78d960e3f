#include "lora/recipe/keys.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace lora {
namespace {

struct Group {
  const char* path;
  const char* note;
  std::vector<const char*> names;
};

const std::vector<Group>& groups() {
  static const char* const kStepNote = "it counts the rows of a whole optimizer step";
  static const std::vector<Group> table = {
      {"model.path",
       "",
       {"base_model", "model_name_or_path", "pretrained_model_name_or_path", "model_name", "model_path", "model_dir",
        "checkpoint_dir"}},
      {"model.dtype", "", {"torch_dtype", "bf16", "fp16", "precision"}},
      {"model.quantization",
       "",
       {"load_in_4bit", "load_in_8bit", "quantization_bit", "quantization_config", "bnb_4bit_quant_type"}},
      {"model.device", "", {"device_map", "accelerator", "use_cpu", "no_cuda", "gpu"}},
      {"model.double_quantization",
       "",
       {"bnb_4bit_use_double_quant", "use_bnb_nested_quant", "double_quant", "use_double_quant"}},
      {"model.head", "", {"task_type", "task", "num_labels", "reward_model"}},
      {"adapter.method", "", {"peft_type", "adapter_type", "finetuning_type", "lora_method", "use_dora"}},
      {"adapter.rank", "", {"r", "lora_r", "lora_rank", "lora_dim"}},
      {"adapter.rank", "with method adalora it is the rank to begin with", {"init_r"}},
      {"adapter.adalora.target_r", "", {"target_rank"}},
      {"adapter.adalora.delta_t", "", {"deltaT", "deltat"}},
      {"adapter.adalora.orth_reg_weight", "", {"orth_reg", "orthogonal_weight"}},
      {"training.objective", "", {"rl", "rlhf_type", "trainer_type"}},
      {"training.preference.beta", "", {"dpo_beta", "pref_beta", "orpo_alpha", "kto_beta", "simpo_beta"}},
      {"training.preference.loss", "", {"loss_type", "pref_loss", "dpo_loss"}},
      {"training.preference.label_smoothing", "", {"dpo_label_smoothing", "rl_label_smoothing"}},
      {"training.preference.desirable_weight", "", {"kto_desirable_weight", "kto_chosen_weight"}},
      {"training.preference.undesirable_weight", "", {"kto_undesirable_weight", "kto_rejected_weight"}},
      {"training.preference.sft_weight", "", {"pref_ftx", "rpo_alpha", "nll_loss_coef"}},
      {"training.preference.reference", "the adapter is switched off", {"ref_model", "model_ref"}},
      {"training.best_by", "", {"metric_for_best_model"}},
      {"training.max_steps", "the schedule of adalora takes it from the run", {"total_step"}},
      {"adapter.alpha", "", {"lora_alpha", "alfa"}},
      {"adapter.use_rslora", "", {"peft_use_rslora", "rank_stabilized_lora"}},
      {"adapter.dropout", "", {"lora_dropout"}},
      {"adapter.target_modules",
       "",
       {"target_module", "lora_target_modules", "lora_target_module", "lora_target", "lora_attn_modules",
        "lora_target_linear"}},
      {"adapter.exclude_modules", "", {"exclude_module", "lora_exclude_modules"}},
      {"adapter.layers_to_transform", "", {"peft_layers_to_transform", "layers"}},
      {"adapter.layers_pattern", "", {"peft_layers_pattern"}},
      {"adapter.modules_to_save", "", {"lora_modules_to_save", "additional_target"}},
      {"adapter.bias", "", {"peft_bias", "train_bias"}},
      {"adapter.trainable_token_indices", "", {"peft_trainable_token_indices", "new_token_ids"}},
      {"adapter.ensure_weight_tying", "", {"peft_ensure_weight_tying", "tie_weights"}},
      {"adapter.init", "", {"init_lora_weights", "peft_init_lora_weights"}},
      {"adapter.init_from", "", {"lora_model_dir", "adapter_name_or_path", "adapter_path"}},
      {"data.train",
       "",
       {"datasets", "dataset", "train_file", "train_files", "train_data", "train_dataset", "training_data"}},
      {"data.validation_split",
       "a share of the training rows, such as 0.1",
       {"val_set_size", "val_size", "test_size", "eval_split", "validation_split_percentage", "test_split_ratio"}},
      {"data.validation",
       "",
       {"eval_dataset", "validation_file", "valid_file", "validation_data", "val_data", "test_datasets", "valid"}},
      {"data.streaming", "", {"stream", "streamed", "iterable", "is_streaming"}},
      {"data.shuffle_buffer",
       "with data.streaming",
       {"shuffle_buffer_size", "buffer_size", "streaming_multipack_buffer_size", "streaming_shuffle_buffer"}},
      {"data.train.path", "", {"file", "filename", "data_files", "dataset_path"}},
      {"data.train.format", "", {"type", "prompt_style"}},
      {"data.train.fields", "", {"column_map", "columns", "field_map", "field_messages"}},
      {"data.template",
       "",
       {"chat_template", "chat_template_path", "chat_template_jinja", "prompt_template", "conversation_template"}},
      {"data.train_on", "", {"train_on_inputs", "train_on_prompt", "roles_to_train", "assistant_only_loss"}},
      {"data.overlong", "", {"excess_length_strategy", "truncation", "truncation_strategy"}},
      {"data.mixing", "", {"mix", "mixture", "dataset_mixer"}},
      {"data.mixing.strategy", "", {"mix_strategy", "stopping_strategy", "interleave"}},
      {"data.mixing.temperature", "", {"mixing_temperature", "sampling_temperature"}},
      {"data.train.weight",
       "with a data.mixing.strategy of weights",
       {"interleave_probs", "probabilities", "sampling_ratio", "proportion", "ratio", "sampling_weight"}},
      {"data.train.epochs", "", {"repeat", "repeats", "upsample"}},
      {"data.cleaning", "", {"filters", "filtering", "preprocessing", "dedup", "deduplicate", "deduplication"}},
      {"data.cleaning.exact_duplicates",
       "",
       {"dataset_exact_deduplication", "exact_dedup", "exact_deduplication", "remove_duplicates", "drop_duplicates"}},
      {"data.cleaning.near_duplicates", "", {"fuzzy_dedup", "fuzzy_deduplication", "minhash", "minhash_dedup", "lsh"}},
      {"data.cleaning.near_duplicates.threshold", "", {"jaccard_threshold", "similarity_threshold", "sim_threshold"}},
      {"data.cleaning.near_duplicates.ngram_size", "", {"n_grams", "ngram", "char_ngrams", "shingle_size", "ngrams"}},
      {"data.cleaning.near_duplicates.ngram_unit", "", {"shingle", "analyzer", "shingle_unit"}},
      {"data.cleaning.near_duplicates.num_perm",
       "it is split into bands by the threshold",
       {"num_permutations", "num_hashes", "num_buckets", "hashes_per_bucket", "num_bands", "permutations"}},
      {"data.cleaning.contamination", "", {"decontamination", "decontaminate", "leakage", "task_decontamination"}},
      {"data.cleaning.non_alphanumeric", "", {"non_alpha_numeric", "non_text", "alnum_ratio"}},
      {"data.cleaning.length.min_chars", "", {"min_length", "min_doc_length"}},
      {"data.cleaning.length.max_chars", "it bounds rows; training.max_length bounds samples", {"max_doc_length"}},
      {"training.seed", "", {"random_seed", "data_seed"}},
      {"training.max_steps", "", {"max_train_steps", "max_iters", "iters", "num_steps", "steps", "num_training_steps"}},
      {"training.epochs", "", {"num_train_epochs", "num_epochs", "n_epochs", "max_epochs", "epoch"}},
      {"training.batch_size",
       kStepNote,
       {"gradient_accumulation_steps", "gradient_accumulation", "global_batch_size", "train_batch_size"}},
      {"training.micro_batch_size", "", {"per_device_train_batch_size", "per_device_batch_size"}},
      {"training.max_length",
       "",
       {"sequence_len", "sequence_length", "seq_len", "seq_length", "max_seq_length", "max_seq_len", "cutoff_len",
        "model_max_length", "block_size"}},
      {"training.packing", "", {"sample_packing", "packed", "pack"}},
      {"training.optimizer", "", {"optim"}},
      {"training.learning_rate", "", {"lr"}},
      {"training.learning_rates",
       "it gives a group its own rate",
       {"loraplus_lr_embedding", "embedding_learning_rate", "lr_groups"}},
      {"training.loraplus_lr_ratio", "", {"loraplus_ratio", "lora_plus_lr_ratio", "lr_ratio"}},
      {"training.lr_schedule", "", {"lr_scheduler", "lr_scheduler_type", "scheduler"}},
      {"training.warmup_ratio",
       "a share of the run's steps",
       {"warmup_epochs", "warmup_proportion", "warmup_fraction"}},
      {"training.warmup_steps", "", {"num_warmup_steps", "lr_warmup_steps", "warmup"}},
      {"training.min_lr_ratio", "", {"cosine_min_lr_ratio", "min_lr", "min_learning_rate", "min_lr_rate"}},
      {"training.adam_beta1", "", {"beta1", "betas", "adam_betas"}},
      {"training.adam_beta2", "", {"beta2"}},
      {"training.adam_epsilon", "", {"adam_eps", "eps", "epsilon"}},
      {"training.weight_decay", "", {"decay", "wd"}},
      {"training.max_grad_norm",
       "",
       {"grad_clip", "clip_grad_norm", "gradient_clipping", "gradient_clip_val", "max_norm"}},
      {"training.eval_every",
       "",
       {"eval_steps", "eval_interval", "run_val_every_n_steps", "steps_per_eval", "val_interval"}},
      {"training.checkpoint_every", "", {"save_steps", "save_every", "save_interval", "save_every_n_steps"}},
      {"training.checkpoint_keep", "", {"save_total_limit", "keep_last", "keep_last_n_checkpoints", "max_checkpoints"}},
      {"training.keep_best", "", {"load_best_model_at_end", "save_best", "keep_best_checkpoint"}},
      {"training.early_stopping_patience", "", {"early_stopping", "patience"}},
      {"training.threads", "", {"num_threads", "n_threads", "omp_num_threads", "cpu_threads"}},
      {"evaluation.max_new_tokens",
       "",
       {"eval_max_new_tokens", "generation_max_length", "max_tokens", "max_completion_length"}},
      {"evaluation.show", "", {"num_samples", "samples", "show_samples"}},
      {"adapter", "", {"lora", "peft", "lora_config", "peft_config"}},
      {"training", "", {"trainer", "training_args", "training_arguments"}},
      {"evaluation", "", {"eval", "evaluate"}},
      {"output_dir", "", {"output", "out_dir", "output_directory", "output_path", "save_dir", "run_dir"}},
      {"logging",
       "metrics.jsonl and report.html are always written; logging: [tensorboard] adds event files",
       {"report_to", "log_with", "loggers", "metric_logger", "use_tensorboard", "tensorboard", "logging_dir"}},
      {"export", "", {"exports", "export_format", "export_formats", "formats"}},
  };
  return table;
}

struct ValueNote {
  const char* path;
  std::vector<const char*> values;  // empty: any that is refused
  const char* note;
};

// Values that stand for more than another name of one of ours.
const std::vector<ValueNote>& value_notes() {
  static const std::vector<ValueNote> table = {
      {"adapter.method", {"qlora", "QLORA", "QLoRA"}, "QLoRA is method lora with model.quantization: nf4"},
      {"adapter.method", {"qdora", "QDoRA"}, "QDoRA is method dora with model.quantization: nf4"},
      {"adapter.method",
       {"lora+", "loraplus", "lora_plus", "LoRA+"},
       "LoRA+ is method lora with training.loraplus_lr_ratio: 16"},
      {"adapter.method", {"pissa", "olora"}, "it is method lora with that name in adapter.init"},
      {"adapter.method",
       {"ia3", "IA3", "loha", "LOHA", "lokr", "LOKR", "oft", "OFT", "boft", "vera", "VERA", "prefix_tuning",
        "PREFIX_TUNING", "prompt_tuning", "PROMPT_TUNING", "p_tuning", "P_TUNING", "freeze"},
       "this method is not supported"},
      {"training.optimizer",
       {"adamw_8bit", "adamw_bnb_8bit", "paged_adamw", "paged_adamw_8bit", "paged_adamw_32bit"},
       "there is no optimizer in eight bits or in pages: adamw keeps float32 moments, of what is trained alone"},
      {"adapter.trainable_token_indices",
       {},
       "the rows are those of embed_tokens, and of a head that is tied to it; rows of lm_head alone are not supported, "
       "modules_to_save: [lm_head] trains them all"},
      {"training.warmup_steps", {}, "a share of the run's steps is training.warmup_ratio"},
  };
  return table;
}

}  // namespace

std::string value_hint(const std::string& path, const std::string& value) {
  for (const ValueNote& row : value_notes()) {
    if (path != row.path || (!row.values.empty() && std::ranges::count(row.values, value) == 0)) continue;
    return std::string(" (") + row.note + ")";
  }
  return "";
}

const std::map<std::string, Synonym>& key_synonyms() {
  static const std::map<std::string, Synonym> table = [] {
    std::map<std::string, Synonym> made;
    for (const Group& group : groups()) {
      for (const char* name : group.names) made.emplace(name, Synonym{group.path, group.note});
    }
    return made;
  }();
  return table;
}

}  // namespace lora
