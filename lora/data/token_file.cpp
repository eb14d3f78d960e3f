#include "lora/data/token_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/threads.h"

namespace lora {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little);

constexpr size_t kBlock = size_t{64} << 10;
// A file up to this size is verified completely when it is opened, in a fraction of a second.
constexpr size_t kShort = size_t{64} << 20;
constexpr std::string_view kMagic = "loratoks";

struct Trailer {
  uint64_t samples_bytes, arrays_bytes, index_bytes;
  uint32_t checksum, version;
  char magic[8];
};
static_assert(sizeof(Trailer) == 40);

uint32_t crc(uint32_t start, const void* data, size_t size) {
  return static_cast<uint32_t>(::crc32_z(start, static_cast<const Bytef*>(data), size));
}

// All counts, in the order of the struct.
constexpr std::array kCounts = {&SourceCounts::rows,
                                &SourceCounts::unreadable,
                                &SourceCounts::filtered,
                                &SourceCounts::too_long,
                                &SourceCounts::untrained,
                                &SourceCounts::untrained_by_cut,
                                &SourceCounts::untrained_by_label,
                                &SourceCounts::untrained_no_answer,
                                &SourceCounts::cut,
                                &SourceCounts::split,
                                &SourceCounts::answers,
                                &SourceCounts::ended,
                                &SourceCounts::only_end,
                                &SourceCounts::samples,
                                &SourceCounts::tokens,
                                &SourceCounts::supervised,
                                &SourceCounts::lost_tools,
                                &SourceCounts::lost_calls,
                                &SourceCounts::lost_content,
                                &SourceCounts::lost_reasoning,
                                &SourceCounts::open_answers};
static_assert(sizeof(SourceCounts) == kCounts.size() * sizeof(int64_t));

json to_json(const SourceCounts& counts) {
  json values = json::array();
  for (const auto count : kCounts) values.push_back(counts.*count);
  return values;
}

SourceCounts counts_from(const json& values) {
  SourceCounts counts;
  for (size_t i = 0; i < kCounts.size(); ++i) counts.*kCounts[i] = integer_of(values.at(i));
  return counts;
}

json to_json(const std::vector<NamedRows>& named) {
  json list = json::array();
  for (const NamedRows& one : named) list.push_back({one.name, one.rows});
  return list;
}

std::vector<NamedRows> named_from(const json& list) {
  std::vector<NamedRows> named;
  for (const json& one : list) named.push_back({one.at(0), integer_of(one.at(1))});
  return named;
}

json to_json(const DatasetIndex& index) {
  json sources = json::array(), files = json::array();
  for (const SourcePart& s : index.sources) {
    sources.push_back({{"path", s.path},
                       {"format", s.format},
                       {"ground", s.ground},
                       {"begin", s.begin},
                       {"end", s.end},
                       {"counts", to_json(s.counts)},
                       {"unread", to_json(s.unread)},
                       {"spelled", to_json(s.spelled)}});
  }
  for (const SourceFile& f : index.files) files.push_back({{"path", f.path}, {"bytes", f.bytes}, {"sha256", f.sha256}});
  return {
      {"samples", index.lengths.size()}, {"forks", index.forks.size()}, {"values", index.values.size()},
      {"ids", index.used_ids.size()},    {"tokens", index.tokens},      {"supervised_tokens", index.supervised_tokens},
      {"longest", index.longest},        {"sources", sources},          {"files", files},
      {"bad_rows", index.bad_rows},      {"notes", index.notes}};
}

DatasetIndex index_from(const json& j) {
  DatasetIndex index;
  index.tokens = integer_of(j.at("tokens"));
  index.supervised_tokens = integer_of(j.at("supervised_tokens"));
  index.longest = integer_of(j.at("longest"));
  index.bad_rows = j.at("bad_rows");
  index.notes = j.at("notes");
  for (const json& s : j.at("sources")) {
    index.sources.push_back({s.at("path"), s.at("format"), s.at("ground"), integer_of(s.at("begin")),
                             integer_of(s.at("end")), counts_from(s.at("counts")), named_from(s.at("unread")),
                             named_from(s.at("spelled"))});
  }
  for (const json& f : j.at("files")) {
    index.files.push_back({f.at("path"), integer_of(f.at("bytes")), f.at("sha256")});
  }
  return index;
}

template <typename T>
void append(std::string& to, const std::vector<T>& values) {
  to.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// Removes values from the front. Returns false if there are too few.
template <typename T>
bool take(std::string_view& from, size_t count, std::vector<T>& values) {
  if (from.size() / sizeof(T) < count) return false;
  values.resize(count);
  if (count > 0) std::memcpy(values.data(), from.data(), count * sizeof(T));
  from.remove_prefix(count * sizeof(T));
  return true;
}

bool forks_fit(const DatasetIndex& index) {
  for (size_t i = 0; i < index.forks.size(); ++i) {
    const auto [prompt, second] = index.forks[i];
    if (second != 0 && (prompt < 0 || second < prompt || second < 1 || second >= index.lengths[i])) return false;
  }
  return true;
}

std::string pack_bits(const std::vector<bool>& bits) {
  std::string bytes((bits.size() + 7) / 8, '\0');
  for (size_t i = 0; i < bits.size(); ++i) bytes[i / 8] = static_cast<char>(bytes[i / 8] | (bits[i] << i % 8));
  return bytes;
}

}  // namespace

TokenFile::TokenFile(std::filesystem::path path, std::unique_ptr<MappedFile> file, size_t bytes,
                     std::vector<uint32_t> checksums)
    : path_(std::move(path)),
      file_(std::move(file)),
      bytes_(bytes),
      checksums_(std::move(checksums)),
      good_(checksums_.size()) {}

bool TokenFile::block_is_good(size_t block) {
  if (good_[block].load(std::memory_order_relaxed)) return true;
  const size_t begin = block * kBlock, size = std::min(kBlock, bytes_ - begin);
  const bool good = crc(0, file_->data() + begin, size) == checksums_[block];
  if (good) good_[block].store(true, std::memory_order_relaxed);
  return good;
}

const std::byte* TokenFile::checked(size_t offset, size_t size) {
  for (size_t block = offset / kBlock; size > 0 && block <= (offset + size - 1) / kBlock; ++block) {
    if (block_is_good(block)) continue;
    throw StorageError(path_.string() + ": the bytes from " + std::to_string(block * kBlock) +
                       " on are not those that were written; remove this file of the cache, and it is made again");
  }
  return file_->data() + offset;
}

bool TokenFile::whole() {
  std::atomic<bool> good = true;
  parallel_for(static_cast<int64_t>(checksums_.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      if (!block_is_good(static_cast<size_t>(block))) good = false;
    }
  });
  return good;
}

void TokenFileWriter::note(const std::byte* data, size_t size) {
  while (size > 0) {
    const size_t part = std::min(size, kBlock - bytes_ % kBlock);
    checksum_ = crc(checksum_, data, part);
    bytes_ += part;
    data += part;
    size -= part;
    if (bytes_ % kBlock != 0) continue;
    checksums_.push_back(checksum_);
    checksum_ = 0;
  }
}

void TokenFileWriter::take(Dataset& dataset) {
  const std::vector<std::byte> packed = dataset.take_packed();
  file_.write(packed.data(), packed.size());
  note(packed.data(), packed.size());
}

void TokenFileWriter::commit(Dataset& dataset) {
  take(dataset);
  if (bytes_ % kBlock != 0) checksums_.push_back(checksum_);
  const DatasetIndex& index = dataset.index();
  std::string arrays;
  append(arrays, index.lengths);
  append(arrays, index.labels);
  append(arrays, index.forks);
  append(arrays, index.values);
  append(arrays, checksums_);
  arrays += pack_bits(index.used_ids);
  const std::string text = to_json(index).dump(-1, ' ', false, json::error_handler_t::replace);
  Trailer trailer{bytes_, arrays.size(), text.size(), 0, kTokenFileVersion, {}};
  trailer.checksum = crc(crc(0, arrays.data(), arrays.size()), text.data(), text.size());
  std::memcpy(trailer.magic, kMagic.data(), kMagic.size());
  file_.write(arrays);
  file_.write(text);
  file_.write(&trailer, sizeof trailer);
  file_.commit();
}

std::optional<Dataset> open_token_file(const std::filesystem::path& path) {
  std::unique_ptr<MappedFile> file;
  try {
    file = std::make_unique<MappedFile>(path, ExitCode::kData);
  } catch (const ModelError&) {
    return {};
  }
  const auto* bytes = reinterpret_cast<const char*>(file->data());
  Trailer trailer;
  if (file->size() < sizeof trailer) return {};
  const size_t rest = file->size() - sizeof trailer;
  std::memcpy(&trailer, bytes + rest, sizeof trailer);
  if (std::string_view(trailer.magic, sizeof trailer.magic) != kMagic || trailer.version != kTokenFileVersion)
    return {};
  if (trailer.samples_bytes > rest || trailer.arrays_bytes > rest - trailer.samples_bytes ||
      trailer.index_bytes != rest - trailer.samples_bytes - trailer.arrays_bytes) {
    return {};
  }
  std::string_view arrays(bytes + trailer.samples_bytes, trailer.arrays_bytes);
  const std::string_view text(arrays.data() + arrays.size(), trailer.index_bytes);
  if (crc(0, arrays.data(), arrays.size() + text.size()) != trailer.checksum) return {};

  DatasetIndex index;
  std::vector<uint32_t> checksums;
  std::vector<char> bits;
  try {
    const json stored = parse_json<json>(text);
    index = index_from(stored);
    const auto size_at = [&](const char* key) { return integer_of<size_t>(stored.at(key)); };
    const size_t samples = size_at("samples"), ids = size_at("ids"), forks = size_at("forks");
    const size_t values = size_at("values"), blocks = (trailer.samples_bytes + kBlock - 1) / kBlock;
    const auto all_or_none = [samples](size_t count) { return count == 0 || count == samples; };
    if (!all_or_none(forks) || !all_or_none(values)) return {};
    if (!take(arrays, samples, index.lengths) || !take(arrays, samples, index.labels) ||
        !take(arrays, forks, index.forks) || !take(arrays, values, index.values) || !take(arrays, blocks, checksums) ||
        !take(arrays, ids / 8 + (ids % 8 != 0), bits) || !forks_fit(index)) {
      return {};
    }
    index.used_ids.resize(ids);
    for (size_t i = 0; i < ids; ++i) index.used_ids[i] = bits[i / 8] >> i % 8 & 1;
    if (std::ranges::any_of(index.lengths, [](int32_t length) { return length < 0; })) return {};
    const auto outside = [&](const SourcePart& part) {
      return part.begin < 0 || part.end < part.begin || part.end > static_cast<int64_t>(samples);
    };
    if (std::ranges::any_of(index.sources, outside)) return {};
  } catch (const json::exception&) {
    return {};
  }
  auto tokens = std::make_shared<TokenFile>(path, std::move(file), trailer.samples_bytes, std::move(checksums));
  if (trailer.samples_bytes <= kShort && !tokens->whole()) return {};
  Dataset dataset(std::move(index), std::move(tokens));
  if (dataset.packed_bytes() != static_cast<int64_t>(trailer.samples_bytes)) return {};
  return dataset;
}

}  // namespace lora
