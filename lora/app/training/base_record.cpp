#include "lora/app/training/base_record.h"

#include <ATen/Parallel.h>

#include "lora/terminal/busy.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"
#include "models/base/sha256.h"
#include "models/network/pretrained.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

ordered_json weights_of(const fs::path& model_directory) {
  ordered_json files = ordered_json::object();
  const std::vector<fs::path> all = weight_files(model_directory);
  for (const fs::path& file : all) {
    files[file.filename().string()] = {{"bytes", fs::file_size(file)},
                                       {"sampled_sha256", sampled_sha256_of_file(file)}};
    const int64_t done = std::ssize(files), count = std::ssize(all);
    Busy::tell(done, count, "file " + with_commas(done) + " of " + with_commas(count));
  }
  return files;
}

}  // namespace

std::string base_record(const fs::path& model_directory) {
  const ordered_json record = {{"weights", weights_of(model_directory)}, {"threads", at::get_num_threads()}};
  return record.dump(2) + "\n";
}

std::vector<std::string> compare_base_record(const fs::path& checkpoint, const std::string& own,
                                             const fs::path& model_directory) {
  const fs::path path = checkpoint / kBaseRecord;
  if (!fs::exists(path)) return {};  // a checkpoint of an earlier version
  try {
    const auto record = parse_json<ordered_json>(read_stored_file(path));
    const ordered_json &then = record.at("weights"), now = parse_json<ordered_json>(own).at("weights");
    for (const auto& [file, facts] : now.items()) {
      if (then.contains(file) && then.at(file) == facts) continue;
      throw ModelError((model_directory / file).string() + ": the checkpoint " + checkpoint.string() +
                       (then.contains(file) ? " was trained on other weights under this name"
                                            : " was trained on a model without this file") +
                       "; put the model back, or start a run of its own without --resume");
    }
    if (then.size() != now.size()) {
      throw ModelError(model_directory.string() + ": the checkpoint " + checkpoint.string() + " was trained on " +
                       std::to_string(then.size()) + " files of weights; found " + std::to_string(now.size()));
    }
    const auto threads = integer_of(record.at("threads"));
    if (threads == at::get_num_threads()) return {};
    return {"the checkpoint was trained with " + std::to_string(threads) + " threads, this process has " +
            std::to_string(at::get_num_threads()) + ": sums are split otherwise, so the bits are not those of an " +
            "uninterrupted run; training.threads sets the number"};
  } catch (const ordered_json::exception& error) {
    throw StorageError(path.string() + ": not a record of the base: " + error.what());
  }
}

}  // namespace lora
