#pragma once
// Reads what lora-data prepare wrote (data_prepare.h) as a recipe's data: data.train: [{path: DIR}].

#include <memory>
#include <string>

#include "lora/data/chat_template.h"
#include "lora/data/dataset.h"
#include "lora/data/labels.h"
#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"

namespace lora {

// Whether the path is a directory with a manifest.json.
bool is_prepared(const std::string& path);

// Whether the training data of the recipe is prepared. Throws DataError for a list with prepared data and another
// source, for prepared validation data beside rows to train on, and for options of a source or of the recipe that would
// have to know the rows: they are tokens already.
bool trains_on_prepared(const DataConfig& data);

// The classes of a classifier that were prepared; none for a language model.
LabelNames prepared_labels(const std::string& directory);

// The chat template that rendered the prepared conversations; null: there are none, or an earlier version prepared
// them. Throws DataError for files that are not as the manifest has them.
std::shared_ptr<const ChatTemplate> prepared_template(const std::string& directory, const Tokenizer& tokenizer);

// The samples of DIR/train.safetensors, or of DIR/validation.safetensors. Throws DataError for files that are not as
// the manifest has them, that another tokenizer has made, or that have samples of more than max_length tokens.
Dataset load_prepared(const std::string& directory, bool validation, const Tokenizer& tokenizer, int64_t max_length,
                      const Labels& labels);

}  // namespace lora
