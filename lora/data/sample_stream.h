#pragma once
// Streams training samples that fit neither in memory nor on disk, one window at a time.
//
// A window is the next shuffle_buffer samples of a pass over the sources, which are read one after another; the last
// window of a pass has the rest. Mixing, packing and shuffling act on one window, which Trainer treats as an epoch. So
// a window as large as the data trains exactly as the whole dataset in memory would. Window i depends only on the
// sources, the options and i: a resumed run reads again up to its window.

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "lora/data/load.h"
#include "lora/data/sample_reader.h"

namespace lora {

class SampleStream {
 public:
  // Does not read yet. The tokenizer must outlive it. `buffer`: samples per window, at least one.
  SampleStream(std::vector<DataSource> sources, const Tokenizer& tokenizer, SampleOptions options, int64_t buffer);
  SampleStream(const SampleStream&) = delete;
  SampleStream& operator=(const SampleStream&) = delete;

  // Makes window() the window with this number, from 0. Reads the files again from the start after their end, or to go
  // back. Standard input ends: it then returns false and keeps the last window. Throws the errors of load_dataset, at
  // the latest at the end of a pass, also for a file that changes between passes.
  bool seek(int64_t number);

  // Empty before the first seek. Its sources are those that this pass has reached, with their counts in this pass.
  const LoadedDataset& window() const { return window_; }
  int64_t passes() const { return passes_; }  // completed passes

  // The counts of rows over all passes, without the positions of samples.
  std::vector<SourcePart> sources() const;
  // Per source: the bytes of its files on disk, and the number and SHA-256 of its samples in the windows so far.
  struct Read {
    std::string path;
    int64_t bytes = 0, samples = 0;
    std::string sha256;
  };
  const std::vector<Read>& read() const { return read_; }

  // Checks the samples of this window and of all that follow, as expect_rows() in dataset.h.
  void expect_rows(int64_t rows);

  int64_t most_held() const { return most_held_; }  // the largest number of samples in memory so far

 private:
  bool reads_once() const;
  void begin();
  bool begin_next_pass();
  bool more();
  void expect_same_files();
  void fill();
  void note_read();

  const std::vector<DataSource> sources_;
  const Tokenizer& tokenizer_;
  const SampleOptions options_;
  const int64_t buffer_;
  std::unique_ptr<SampleReader> reader_;  // null: at the end of a pass
  SampleBlock block_;                     // its samples from next_ on are not in a window yet
  size_t next_ = 0;
  LoadedDataset window_;
  std::vector<SourceFile> files_;  // of the last complete pass
  int64_t number_ = -1, passes_ = 0, most_held_ = 0;
  int64_t rows_ = std::numeric_limits<int64_t>::max();
  std::vector<SourcePart> before_;  // of each source, in the completed passes
  std::vector<Read> read_;
};

}  // namespace lora
