#pragma once
// The options of programs that answer: a base, and adapters on it.

#include <string>
#include <vector>

#include "lora/app/source/adapted_base.h"
#include "lora/cli/program.h"
#include "lora/quantization/quantizer.h"
#include "models/engine/kv_pages.h"
#include "models/network/pretrained.h"

namespace lora {

// MODEL, --adapter, --ignore-option, --dtype, --quantization, --kv-cache-dtype and --threads.
inline void add_base_options(Program& app, AdaptedBaseOptions& options, KvDtype& kv_dtype, int64_t& threads) {
  app.add_option("MODEL", options.model,
                 "A Hugging Face model directory; or a run or a PEFT adapter directory, whose base is found by itself")
      ->required();
  app.add_option("--adapter", options.adapters,
                 "A run or a PEFT adapter directory, PATH or NAME=PATH; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  add_ignore_option(app, options.ignored_options);
  app.add_option("--dtype", options.dtype, "auto: as the run was trained, else as config.json says")
      ->check(CLI::IsMember(dtype_names().known));
  std::vector<std::string> quantizations = quantization_names().known;
  quantizations.insert(quantizations.begin(), "auto");
  app.add_option("--quantization", options.quantization,
                 "The layers' projections in fewer bits; auto: as the run was trained, else none")
      ->check(CLI::IsMember(quantizations));
  app.add_option_function<std::string>(
         "--kv-cache-dtype",
         [&kv_dtype](const std::string& name) { kv_dtype = name == "int8" ? KvDtype::kInt8 : KvDtype::kModel; },
         "Keys and values of texts: auto (the model's dtype), or int8 for less memory")
      ->check(CLI::IsMember({"auto", "int8"}))
      ->default_str("auto");
  add_device_option(app, options.device, "auto");
  app.add_option("--threads", threads, "Threads; 0: the physical cores")->check(CLI::NonNegativeNumber);
}

}  // namespace lora
