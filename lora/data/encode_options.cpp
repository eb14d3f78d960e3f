#include "lora/data/encode_options.h"

#include "models/error.h"

namespace lora {
namespace {

TrainOn train_on(const std::string& name) {
  if (name == "assistant") return TrainOn::kAssistant;
  if (name == "all") return TrainOn::kAll;
  if (name == "last_turn") return TrainOn::kLastTurn;
  throw RecipeError("data.train_on: unknown '" + name + "', wanted assistant, all or last_turn");
}

Overlong overlong(const std::string& name) {
  if (name == "truncate") return Overlong::kTruncate;
  if (name == "drop") return Overlong::kDrop;
  if (name == "split") return Overlong::kSplit;
  throw RecipeError("data.overlong: unknown '" + name + "', wanted truncate, drop or split");
}

}  // namespace

EncodeOptions encode_options(const DataConfig& data, const DataSource& source, int64_t max_length) {
  return {.max_length = max_length,
          .train_on = train_on(source.train_on.empty() ? data.train_on : source.train_on),
          .overlong = overlong(data.overlong)};
}

std::string to_key(const EncodeOptions& options) {
  return "max_length=" + std::to_string(options.max_length) +
         " train_on=" + std::to_string(static_cast<int>(options.train_on)) +
         " overlong=" + std::to_string(static_cast<int>(options.overlong));
}

}  // namespace lora
