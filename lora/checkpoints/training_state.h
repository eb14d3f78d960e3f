#pragma once
// What a run needs to go on, as files in a checkpoint's directory:
//   adapter_config.json, adapter_model.safetensors   the adapter as PEFT reads it (method full: model.safetensors)
//   labels.json                                      a classifier's labels
//   optimizer.safetensors                            AdamW's moments
//   method.safetensors                               state of the method's own (TrainingHooks), where it has any
//   state.json                                       Progress
//   recipe.yaml                                      the recipe as it ran
//   data.json                                        the files it was trained on, with their SHA-256
//   (app/training/data_record.h)
// Random-number generators need no file: they are derived from the seed and the step.

#include <filesystem>
#include <string>

#include "lora/adapters/adapted_model.h"
#include "lora/training/trainer.h"

namespace lora {

// Into an existing directory. `recipe_yaml` and `base_model` are written as given.
void write_training_state(const std::filesystem::path& directory, const AdaptedModel& adapted, Trainer& trainer,
                          const std::string& base_model, const std::string& recipe_yaml);

// The trained weights alone, copied into the model. ModelError where they do not fit.
void read_trained_weights(const std::filesystem::path& directory, const AdaptedModel& adapted);

// Weights, moments, the method's state and progress: the trainer's next step is the one that would have followed.
// StorageError or ModelError where a file does not fit.
void read_training_state(const std::filesystem::path& directory, const AdaptedModel& adapted, Trainer& trainer);

}  // namespace lora
