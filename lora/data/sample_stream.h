#pragma once
// Training samples of sources that fit neither the memory nor the disk: read in passing, a window of them at a time.
//
// A window is the next shuffle_buffer samples of a pass over the sources, which are read one after the other; the last
// one of a pass has what is left. What is drawn, packed and shuffled is a window (Trainer takes each as it would take
// an epoch), so that one as large as the data trains as the whole set in memory would, bit for bit. Window i is a
// function of the sources, the options and i: a run that goes on reads up to its window again.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/data/load.h"
#include "lora/data/sample_reader.h"

namespace lora {

class SampleStream {
 public:
  // Reads nothing yet. The tokenizer must outlive it. `buffer`: samples of a window, at least one.
  SampleStream(std::vector<DataSource> sources, const Tokenizer& tokenizer, SampleOptions options, int64_t buffer);
  SampleStream(const SampleStream&) = delete;
  SampleStream& operator=(const SampleStream&) = delete;

  // Makes window() the one of this number, from 0. Files are read again from the start after their end, and where the
  // window lies behind; standard input ends, and then it is false, with the last window left as it is. Errors as
  // load_dataset's, at the latest at the end of a pass, also for a file that changes between passes.
  bool seek(int64_t number);

  // None before the first seek. Its sources are those that this pass has come to, with the counts of this pass so far.
  const LoadedDataset& window() const { return window_; }
  int64_t passes() const { return passes_; }  // that are over

  // Of all passes: what became of the rows, without where samples are.
  std::vector<SourcePart> sources() const;
  // Of each source, the files' bytes on the disk, and how many samples the windows so far had of it with their SHA-256.
  struct Read {
    std::string path;
    int64_t bytes = 0, samples = 0;
    std::string sha256;
  };
  const std::vector<Read>& read() const { return read_; }

  int64_t most_held() const { return most_held_; }  // samples in memory at a time, so far

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
  SampleBlock block_;                     // whose samples from next_ on are in no window yet
  size_t next_ = 0;
  LoadedDataset window_;
  std::vector<SourceFile> files_;  // of the last whole pass
  int64_t number_ = -1, passes_ = 0, most_held_ = 0;
  std::vector<SourcePart> before_;  // of each source, in the passes that are over
  std::vector<Read> read_;
};

}  // namespace lora
