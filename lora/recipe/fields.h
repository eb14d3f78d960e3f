#pragma once
// Every key of a recipe, with its member of the structs and the rule for its value. Reading, printing, comparing and
// the hints for misspelt keys all use these lists: a new key is one line here and one member there.
//
// describe(fields, part) calls, in the order of printing,
//   fields.value(key, member, rule)     a value; values.h has the rules
//   fields.required(key, member, rule)  the same, for a key without a default
//   fields.section(key, member)         a map, with its own describe()
//   fields.sections(key, member)        a list of such maps
// The names that a value accepts come from its registry, or from its enum. Rules between keys are in checks.cpp.

#include "lora/adapters/initialise.h"
#include "lora/adapters/registry.h"
#include "lora/data/format.h"
#include "lora/export/export.h"
#include "lora/quantization/quantizer.h"
#include "lora/recipe/recipe.h"
#include "lora/recipe/values.h"
#include "lora/training/objective.h"
#include "lora/training/schedules.h"
#include "models/network/pretrained.h"

namespace lora {

inline constexpr Numbers kPositive{.min = 0, .above_min = true};
inline constexpr Numbers kNotNegative{.min = 0};
inline constexpr Numbers kBelowOne{.min = 0, .max = 1, .below_max = true};
inline constexpr Numbers kInsideOne{.min = 0, .above_min = true, .max = 1, .below_max = true};
inline constexpr Numbers kAboveNoneToOne{.min = 0, .above_min = true, .max = 1};
inline constexpr Numbers kShare{.min = 0, .max = 1};

template <typename Fields>
void describe(Fields& fields, ModelSection& model) {
  fields.required("path", model.path, Any{});
  fields.value("dtype", model.dtype, dtype_names());
  fields.value("quantization", model.quantization, quantization_names());
  fields.value("double_quantization", model.double_quantization, Any{});
  fields.value("device", model.device, DeviceName{});
  fields.value("head", model.head, Any{});
  fields.value("init", model.init, Any{});
  fields.value("new_tokens", model.new_tokens, Any{});
  fields.value("new_tokens_init", model.new_tokens_init, Any{});
}

template <typename Fields>
void describe(Fields& fields, AdaLoraConfig& adalora) {
  fields.value("target_r", adalora.target_r, Integers{1});
  fields.value("tinit", adalora.tinit, Integers{0});
  fields.value("tfinal", adalora.tfinal, Integers{0});
  fields.value("delta_t", adalora.delta_t, Integers{1});
  fields.value("beta1", adalora.beta1, kInsideOne);
  fields.value("beta2", adalora.beta2, kInsideOne);
  fields.value("orth_reg_weight", adalora.orth_reg_weight, kNotNegative);
}

template <typename Fields>
void describe(Fields& fields, AdapterConfig& adapter) {
  fields.value("method", adapter.method, method_names());
  fields.value("rank", adapter.rank, Integers{1});
  fields.value("alpha", adapter.alpha, kPositive);
  fields.value("use_rslora", adapter.use_rslora, Any{});
  fields.value("dropout", adapter.dropout, kBelowOne);
  fields.value("target_modules", adapter.target_modules, Any{});
  fields.value("exclude_modules", adapter.exclude_modules, Any{});
  fields.value("layers_to_transform", adapter.layers_to_transform, Integers{0});
  fields.value("layers_pattern", adapter.layers_pattern, Any{});
  fields.value("rank_pattern", adapter.rank_pattern, Integers{1});
  fields.value("alpha_pattern", adapter.alpha_pattern, kPositive);
  fields.value("modules_to_save", adapter.modules_to_save, Any{});
  fields.value("bias", adapter.bias, Any{});
  fields.value("lora_bias", adapter.lora_bias, Any{});
  fields.value("trainable_token_indices", adapter.trainable_token_indices, Integers{0});
  fields.value("ensure_weight_tying", adapter.ensure_weight_tying, Any{});
  fields.value("init", adapter.init, init_names());
  fields.value("init_from", adapter.init_from, OrNull{});
  fields.value("ignored_options", adapter.ignored_options, Any{});
  fields.section("adalora", adapter.adalora);
}

template <typename Fields>
void describe(Fields& fields, DataSource& source) {
  fields.required("path", source.path, Any{});
  fields.value("format", source.format, format_names());
  fields.value("weight", source.weight, kPositive);
  fields.value("epochs", source.epochs, kPositive);
  fields.value("fields", source.fields, Any{});
  fields.value("template", source.chat_template, TemplateOrNull{});
  fields.value("train_on", source.train_on, Any{});
}

template <typename Fields>
void describe(Fields& fields, MixingConfig& mixing) {
  fields.value("strategy", mixing.strategy, Any{});
  fields.value("by", mixing.by, Any{});
  fields.value("temperature", mixing.temperature, kPositive);
}

template <typename Fields>
void describe(Fields& fields, NearDuplicatesConfig& rule) {
  fields.value("action", rule.action, Any{});
  fields.value("threshold", rule.threshold, kAboveNoneToOne);
  fields.value("ngram_unit", rule.ngram_unit, Any{});
  fields.value("ngram_size", rule.ngram_size, Integers{1, 64});
  fields.value("num_perm", rule.num_perm, Integers{16, 1024});
}

template <typename Fields>
void describe(Fields& fields, ContaminationConfig& rule) {
  fields.value("action", rule.action, Any{});
  fields.value("threshold", rule.threshold, kAboveNoneToOne);
}

template <typename Fields>
void describe(Fields& fields, LengthBoundsConfig& rule) {
  fields.value("action", rule.action, Any{});
  fields.value("min_chars", rule.min_chars, Integers{0});
  fields.value("max_chars", rule.max_chars, Integers{0});
}

template <typename Fields>
void describe(Fields& fields, AnswerRatioConfig& rule) {
  fields.value("action", rule.action, Any{});
  fields.value("min_ratio", rule.min_ratio, kNotNegative);
  fields.value("max_ratio", rule.max_ratio, kNotNegative);
}

template <typename Fields>
void describe(Fields& fields, NonAlphanumericConfig& rule) {
  fields.value("action", rule.action, Any{});
  fields.value("max_ratio", rule.max_ratio, kShare);
}

template <typename Fields>
void describe(Fields& fields, CleaningConfig& cleaning) {
  fields.value("exact_duplicates", cleaning.exact_duplicates, Any{});
  fields.section("near_duplicates", cleaning.near_duplicates);
  fields.section("contamination", cleaning.contamination);
  fields.value("conflicting_answers", cleaning.conflicting_answers, Any{});
  fields.value("identical_answers", cleaning.identical_answers, Any{});
  fields.value("empty_answers", cleaning.empty_answers, Any{});
  fields.section("length", cleaning.length);
  fields.section("answer_ratio", cleaning.answer_ratio);
  fields.value("invalid_utf8", cleaning.invalid_utf8, Any{});
  fields.value("control_characters", cleaning.control_characters, Any{});
  fields.section("non_alphanumeric", cleaning.non_alphanumeric);
  fields.value("pii", cleaning.pii, Any{});
}

template <typename Fields>
void describe(Fields& fields, DataConfig& data) {
  fields.sections("train", data.train);
  fields.sections("validation", data.validation);
  fields.value("validation_split", data.validation_split, ShareOrCount{});
  fields.value("shuffle", data.shuffle, Any{});
  fields.value("streaming", data.streaming, Any{});
  fields.value("shuffle_buffer", data.shuffle_buffer, Integers{1});
  fields.value("on_error", data.on_error, Any{});
  fields.value("max_errors", data.max_errors, Integers{0});
  fields.value("cache_dir", data.cache_dir, OrNull{});
  fields.value("template", data.chat_template, Template{});
  fields.value("train_on", data.train_on, Any{});
  fields.value("overlong", data.overlong, Any{});
  fields.value("allow_special_tokens", data.allow_special_tokens, Any{});
  fields.section("mixing", data.mixing);
  fields.section("cleaning", data.cleaning);
}

template <typename Fields>
void describe(Fields& fields, PreferenceConfig& preference) {
  fields.value("beta", preference.beta, kPositive);
  fields.value("loss", preference.loss, Any{});
  fields.value("label_smoothing", preference.label_smoothing, kShare);
  fields.value("reference", preference.reference, Any{});
  fields.value("simpo_gamma", preference.simpo_gamma, kNotNegative);
  fields.value("cpo_alpha", preference.cpo_alpha, kNotNegative);
  fields.value("desirable_weight", preference.desirable_weight, kNotNegative);
  fields.value("undesirable_weight", preference.undesirable_weight, kNotNegative);
  fields.value("sft_weight", preference.sft_weight, kNotNegative);
  fields.value("center_rewards_coefficient", preference.center_rewards_coefficient, kNotNegative);
  fields.value("share_prompt", preference.share_prompt, Any{});
}

template <typename Fields>
void describe(Fields& fields, TrainingConfig& training) {
  fields.value("seed", training.seed, Any{});
  fields.value("objective", training.objective, objective_names());
  fields.section("preference", training.preference);
  fields.value("max_steps", training.max_steps, Integers{1});
  fields.value("epochs", training.epochs, kPositive);
  fields.value("batch_size", training.batch_size, Integers{1});
  fields.value("micro_batch_size", training.micro_batch_size, OrAuto{{1}});
  fields.value("max_length", training.max_length, Integers{2});
  fields.value("packing", training.packing, Any{});
  fields.value("optimizer", training.optimizer, optimizer_names());
  fields.value("learning_rate", training.learning_rate, kPositive);
  fields.value("learning_rates", training.learning_rates, kPositive);
  fields.value("loraplus_lr_ratio", training.loraplus_lr_ratio, kPositive);
  fields.value("lr_schedule", training.lr_schedule, schedule_names());
  fields.value("warmup_steps", training.warmup_steps, Integers{0});
  fields.value("warmup_ratio", training.warmup_ratio, kShare);
  fields.value("min_lr_ratio", training.min_lr_ratio, kShare);
  fields.value("adam_beta1", training.adam_beta1, kBelowOne);
  fields.value("adam_beta2", training.adam_beta2, kBelowOne);
  fields.value("adam_epsilon", training.adam_epsilon, kPositive);
  fields.value("weight_decay", training.weight_decay, kNotNegative);
  fields.value("max_grad_norm", training.max_grad_norm, kNotNegative);
  fields.value("max_nonfinite_steps", training.max_nonfinite_steps, Integers{0});
  fields.value("eval_every", training.eval_every, Integers{0});
  fields.value("checkpoint_every", training.checkpoint_every, Integers{0});
  fields.value("checkpoint_keep", training.checkpoint_keep, Integers{1});
  fields.value("keep_best", training.keep_best, Any{});
  fields.value("best_by", training.best_by, Any{});
  fields.value("early_stopping_patience", training.early_stopping_patience, Integers{0});
  fields.value("memory", training.memory, Any{});
  fields.value("memory_limit", training.memory_limit, Bytes{});
  fields.value("fused", training.fused, Any{});
  fields.value("threads", training.threads, Integers{0, 4096});
}

template <typename Fields>
void describe(Fields& fields, EvaluationConfig& evaluation) {
  fields.value("exact_match", evaluation.exact_match, Integers{0});
  fields.value("show", evaluation.show, Integers{0});
  fields.value("max_new_tokens", evaluation.max_new_tokens, Integers{1});
}

template <typename Fields>
void describe(Fields& fields, DistributedSection& distributed) {
  fields.value("by", distributed.by, Any{});
  fields.value("timeout", distributed.timeout, Seconds{});
}

template <typename Fields>
void describe(Fields& fields, Recipe& recipe) {
  fields.section("model", recipe.model);
  fields.section("adapter", recipe.adapter);
  fields.section("data", recipe.data);
  fields.section("training", recipe.training);
  fields.section("evaluation", recipe.evaluation);
  fields.section("distributed", recipe.distributed);
  fields.required("output_dir", recipe.output_dir, Any{});
  fields.value("export", recipe.exports, export_names());
  fields.value("logging", recipe.logging, logging_names());
}

}  // namespace lora
