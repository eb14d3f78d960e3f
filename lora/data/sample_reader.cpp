#include "lora/data/sample_reader.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lora/data/spelled_tokens.h"
#include "models/base/error.h"
#include "models/base/threads.h"

namespace lora {
SampleReader::SampleReader(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                           const SampleOptions& options)
    : sources_(sources),
      tokenizer_(tokenizer),
      options_(options),
      bad_(row_errors(options.data)),
      reader_(sources, bad_, options.labels.empty() ? options.data.trains : Trains::kLabel),
      encode_options_(sources.size()) {}

bool SampleReader::next(SampleBlock& block) {
  block = {};
  if (!reader_.next(rows_)) return false;
  block.source = rows_.source;
  block.counts.rows = rows_.read;
  block.counts.untrained = block.counts.untrained_by_label = rows_.not_chosen;
  block.counts.unreadable = rows_.read - rows_.not_chosen - static_cast<int64_t>(rows_.rows.size());
  block.unread = rows_.unread;
  if (options_.filter) {
    options_.filter(rows_.rows);
    block.counts.filtered =
        static_cast<int64_t>(std::erase_if(rows_.rows, [](const ExampleRow& row) { return !row.keep; }));
  }
  if (!rows_.rows.empty()) encode(rows_, block);
  return true;
}

void SampleReader::note(const SampleBlock& block, Dataset& dataset) const {
  while (dataset.sources().size() <= block.source) dataset.begin_source(sources_[dataset.sources().size()].path);
  SourcePart& source = dataset.last_source();
  source.format = reader_.source(block.source).format;
  source.ground = reader_.ground(block.source);
  source.counts += block.counts;
  add_named(block.unread, source.unread);
  add_named(block.spelled, source.spelled);
}

void SampleReader::encode(const ExampleBlock& rows, SampleBlock& block) {
  std::optional<EncodeOptions>& options = encode_options_[rows.source];
  if (!options) {
    options = encode_options(options_.data, reader_.source(rows.source), tokenizer_, options_.max_length);
    if (!spelled_) spelled_ = std::make_shared<const SpelledTokens>(tokenizer_);
    if (!options->allow_special_tokens) options->spelled = spelled_;
  }
  std::vector<EncodedExample> encoded(rows.rows.size());
  std::vector<std::string> errors(rows.rows.size());
  parallel_for(static_cast<int64_t>(rows.rows.size()), kRowsAtATime, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      try {
        encoded[i] = encode(rows.rows[i], *options);
      } catch (const DataError& error) {
        errors[i] = without_component(error);
      }
    }
  });
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (!errors[i].empty()) {
      bad_.add(errors[i]);
      ++block.counts.unreadable;
      continue;
    }
    block.counts += encoded[i].counts;
    for (const std::string& name : encoded[i].spelled) add_named({{name, 1}}, block.spelled);
    for (const std::string& name : encoded[i].unread) add_named({{name, 1}}, block.unread);
    std::ranges::move(encoded[i].samples, std::back_inserter(block.samples));
  }
}

EncodedExample SampleReader::encode(const ExampleRow& row, const EncodeOptions& options) const {
  if (options_.labels.empty()) {
    try {
      return encode_example(tokenizer_, options, row.example);
    } catch (const DataError& error) {  // from a chat template, which does not know the row
      throw DataError(row.where + ": " + without_component(error));
    }
  }
  const int32_t label = options_.labels.id(*row.example.label, row.where);
  return encode_labelled(tokenizer_, row.example.prompt, label, options.max_length);
}

void expect_rows_left(const std::vector<SourcePart>& sources) {
  for (const SourcePart& source : sources) {
    const SourceCounts& counts = source.counts;
    if (counts.filtered == 0 || counts.filtered + counts.unreadable < counts.rows) continue;
    throw DataError(source.path + ": none of its " + std::to_string(counts.rows) +
                    " rows is left: data.cleaning left out " + std::to_string(counts.filtered));
  }
}

}  // namespace lora
