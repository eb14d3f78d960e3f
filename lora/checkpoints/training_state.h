#pragma once
// The state that a run needs to resume, as files in a checkpoint's directory:
//   adapter_config.json, adapter_model.safetensors   the adapter as PEFT reads it (method full: model.safetensors)
//   labels.json                                      a classifier's labels
//   optimizer.safetensors                            AdamW's moments
//   method.safetensors                               the method's own state (TrainingHooks), if it has any
//   state.json                                       Progress
//   recipe.yaml                                      the recipe of the run
//   data.json, base.json                             what it was trained on: lora/app/training/data_record.h and
//                                                    base_record.h
//   chat_template.jinja                              the chat template trained with, if any; as template_files.h has it
// Random-number generators need no file: they derive from the seed and the step.

#include <filesystem>
#include <string>

#include "lora/adapters/adapted_model.h"
#include "lora/training/trainer.h"
#include "models/base/on_bytes.h"

namespace lora {

// `directory` must exist. `recipe_yaml` and `base_model` are written as given. `on_bytes`: of the tensors, as each is
// written.
void write_training_state(const std::filesystem::path& directory, const AdaptedModel& adapted, Trainer& trainer,
                          const std::string& base_model, const std::string& recipe_yaml, const OnBytes& on_bytes = {});

// Copies only the trained weights into the model. Throws ModelError if they do not fit.
void read_trained_weights(const std::filesystem::path& directory, const AdaptedModel& adapted);

// Restores weights, moments, the method's state and progress. The trainer's next step is then the same as without the
// interruption. Throws StorageError or ModelError if a file does not fit.
void read_training_state(const std::filesystem::path& directory, const AdaptedModel& adapted, Trainer& trainer);

}  // namespace lora
