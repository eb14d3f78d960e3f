#include "lora/app/training/data_record.h"

#include <nlohmann/json.hpp>

#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

using nlohmann::ordered_json;

constexpr const char* kRecordFile = "data.json";

ordered_json files_of(const Dataset& dataset) {
  ordered_json files = ordered_json::array();
  for (const SourceFile& file : dataset.index().files) {
    files.push_back({{"path", file.path}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  }
  return files;
}

ordered_json read_of(const SampleStream& stream) {
  ordered_json sources = ordered_json::array();
  for (const SampleStream::Read& read : stream.read()) {
    sources.push_back({{"path", read.path}, {"bytes", read.bytes}, {"samples", read.samples}, {"sha256", read.sha256}});
  }
  return sources;
}

ordered_json record_of(const Dataset& train, const SampleStream* stream, const Dataset& validation) {
  return {{"train", stream ? read_of(*stream) : files_of(train)}, {"validation", files_of(validation)}};
}

std::string described(const ordered_json& file) {
  const std::string hash = "SHA-256 " + file.at("sha256").get<std::string>().substr(0, 12) + "…";
  const std::string bytes = std::to_string(integer_of(file.at("bytes"))) + " bytes, ";
  if (!file.contains("samples")) return bytes + hash;
  return bytes + "with first " + std::to_string(integer_of(file.at("samples"))) + " samples of " + hash;
}

}  // namespace

std::string data_record(const Dataset& train, const SampleStream* stream, const Dataset& validation) {
  return record_of(train, stream, validation).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

void write_data_record(const std::filesystem::path& checkpoint, const Dataset& train, const SampleStream* stream,
                       const Dataset& validation) {
  write_file_atomically(checkpoint / kRecordFile, data_record(train, stream, validation));
}

void expect_same_data(const std::filesystem::path& checkpoint, const Dataset& train, const SampleStream* stream,
                      const Dataset& validation) {
  const std::filesystem::path record = checkpoint / kRecordFile;
  if (!std::filesystem::exists(record)) return;  // a checkpoint of an earlier version
  try {
    const ordered_json then = parse_json<ordered_json>(read_stored_file(record)),
                       now = record_of(train, stream, validation);
    for (const char* set : {"train", "validation"}) {
      const ordered_json &before = then.at(set), &found = now.at(set);
      for (size_t i = 0; i < std::min(before.size(), found.size()); ++i) {
        ordered_json bytes_before = before[i], bytes_found = found[i];
        bytes_before.erase("path");  // one file may have two names
        bytes_found.erase("path");
        if (bytes_before == bytes_found) continue;
        throw DataError(found[i].at("path").get<std::string>() + ": found " + described(found[i]) +
                        ", expected what the checkpoint was trained on: " + before[i].at("path").get<std::string>() +
                        " with " + described(before[i]) + "; put it back, or start a run of its own without --resume");
      }
      if (before.size() != found.size()) {
        throw DataError("data." + std::string(set) + ": found " + std::to_string(found.size()) +
                        " files, the checkpoint was trained on " + std::to_string(before.size()) +
                        "; expected the same ones, or a run of its own without --resume");
      }
    }
  } catch (const ordered_json::exception& error) {
    throw StorageError(record.string() + ": not a record of data: " + error.what());
  }
}

}  // namespace lora
