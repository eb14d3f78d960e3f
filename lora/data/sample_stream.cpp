#include "lora/data/sample_stream.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "models/base/error.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

constexpr const char* kStandardInput = "-";

int64_t bytes_on_disk(const std::string& path) {
  int64_t bytes = 0;
  for (const std::string& file : matching_files(path)) {
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    if (!error) bytes += static_cast<int64_t>(size);  // on an error, opening the file reports the reason
  }
  return bytes;
}

}  // namespace

SampleStream::SampleStream(std::vector<DataSource> sources, const Tokenizer& tokenizer, SampleOptions options,
                           int64_t buffer)
    : sources_(std::move(sources)), tokenizer_(tokenizer), options_(std::move(options)), buffer_(buffer) {
  begin();
}

bool SampleStream::reads_once() const {
  return std::ranges::any_of(sources_, [](const DataSource& source) { return source.path == kStandardInput; });
}

void SampleStream::begin() {
  reader_ = std::make_unique<SampleReader>(sources_, tokenizer_, options_);
  block_ = {};
  next_ = 0;
  window_ = {};
  number_ = -1;
  passes_ = 0;
  before_.clear();
  read_.clear();
  for (const DataSource& source : sources_) {
    SourcePart& part = before_.emplace_back();
    part.path = source.path;
    part.format = source.format;
    read_.push_back({source.path, source.path == kStandardInput ? 0 : bytes_on_disk(source.path), 0, ""});
  }
}

bool SampleStream::begin_next_pass() {
  expect_rows_left(window_.sources());
  expect_trainable(window_.counts(), options_.max_length, !options_.labels.empty());
  if (reads_once()) return false;
  before_ = sources();
  ++passes_;
  window_ = {};
  reader_ = std::make_unique<SampleReader>(sources_, tokenizer_, options_);
  return true;
}

// True if the pass has another sample. Rows read for the check count with the previous window.
bool SampleStream::more() {
  while (next_ == block_.samples.size()) {
    if (!reader_) return false;
    next_ = 0;
    if (!reader_->next(block_)) {
      expect_same_files();
      reader_.reset();
      return false;
    }
    reader_->note(block_, window_);
    window_.edit_index().bad_rows = reader_->bad_rows();
    most_held_ = std::max(most_held_, window_.size() + static_cast<int64_t>(block_.samples.size()));
  }
  return true;
}

void SampleStream::expect_same_files() {
  const std::vector<SourceFile>& now = reader_->files();
  for (size_t i = 0; i < std::min(files_.size(), now.size()); ++i) {
    if (files_[i] != now[i])
      throw DataError(now[i].path + ": changed since it was read before; expected a file at rest");
  }
  files_ = now;
}

bool SampleStream::seek(int64_t number) {
  if (number < number_) {
    if (reads_once())
      throw DataError("-: standard input is read only once, and an earlier part of it is expected again");
    begin();
  }
  while (number_ < number) {
    while (!more()) {
      if (!begin_next_pass()) return false;
    }
    fill();
    lora::expect_rows(window_, tokenizer_, rows_);
    note_read();
    // Reports data that cannot train anything before training, not at the end of the pass.
    if (++number_ == 0) expect_trainable(window_.counts(), options_.max_length, !options_.labels.empty());
  }
  return true;
}

void SampleStream::fill() {
  LoadedDataset next;
  next.cache = "not kept: the training data is streamed";
  next.edit_index().bad_rows = window_.index().bad_rows;
  for (const SourcePart& source : window_.sources()) {
    SourcePart& part = next.begin_source(source.path);
    part = source;
    part.begin = part.end = 0;
  }
  window_ = std::move(next);
  while (window_.size() < buffer_ && more()) window_.add(std::exchange(block_.samples[next_++], {}));
}

void SampleStream::expect_rows(int64_t rows) {
  rows_ = rows;
  lora::expect_rows(window_, tokenizer_, rows_);
}

void SampleStream::note_read() {
  for (size_t i = 0; i < window_.sources().size(); ++i) {
    const SourcePart& part = window_.sources()[i];
    if (part.begin == part.end) continue;
    Sha256 hash;
    hash.update(read_[i].sha256.data(), read_[i].sha256.size());
    for (int64_t sample = part.begin; sample < part.end; ++sample) {
      const SampleView view = window_[sample];
      hash.update(view.ids.data(), view.ids.size_bytes());
      hash.update(view.supervised.data(), view.supervised.size_bytes());
      hash.update(&view.label, sizeof view.label);
    }
    read_[i].samples += part.end - part.begin;
    read_[i].sha256 = hash.digest();
  }
}

std::vector<SourcePart> SampleStream::sources() const {
  std::vector<SourcePart> all = before_;
  for (size_t i = 0; i < window_.sources().size(); ++i) {
    all[i].format = window_.sources()[i].format;
    all[i].counts += window_.sources()[i].counts;
    add_named(window_.sources()[i].unread, all[i].unread);
    add_named(window_.sources()[i].spelled, all[i].spelled);
  }
  return all;
}

}  // namespace lora
