#pragma once
// Exports of an adapter that was trained on a quantized base: merged into the weights of the base's own files, which is
// what the adapter is loaded on elsewhere, or into the dequantized ones, which is what was trained.

#include <filesystem>
#include <string>

#include "lora/app/source/trained_model.h"
#include "lora/terminal/console.h"

namespace lora {

enum class MergeInto { kOriginal, kDequantized };

// What a base was loaded by, for loading it again.
struct BaseSource {
  ModelSection model;
  uint64_t seed = 0;
};

// Writes `source` as `format` says (one of export_names()). On a quantized base a merged format is of the base
// that `into` names, and the line for the person ends with the difference of its logits from the trained model's.
// `shown` shows the file that is being written, behind `owner`: the run's name, where there are several runs.
std::string write_export(const std::string& format, const ExportSource& source, const BaseSource& base, MergeInto into,
                         const std::filesystem::path& output, const Console& shown, const std::string& owner = "");

// The adapters of `source` on the base as its files have it.
TrainedModel on_original_base(const ExportSource& source, const BaseSource& base);

}  // namespace lora
