#include "lora/data/whole_sample.h"

#include <algorithm>

namespace lora {
namespace {

Sample part(const WholeSample& whole, size_t begin, size_t end) {
  Sample sample;
  if (begin > 0 && whole.has_bos) {
    sample.ids.push_back(whole.sample.ids.front());
    sample.supervised.push_back(0);
  }
  const auto at = [](const auto& list, size_t i) { return list.begin() + static_cast<std::ptrdiff_t>(i); };
  sample.ids.insert(sample.ids.end(), at(whole.sample.ids, begin), at(whole.sample.ids, end));
  sample.supervised.insert(sample.supervised.end(), at(whole.sample.supervised, begin),
                           at(whole.sample.supervised, end));
  sample.supervised.front() = 0;
  return sample;
}

std::vector<Sample> split(const WholeSample& whole, size_t limit) {
  std::vector<Sample> parts;
  const size_t length = whole.sample.ids.size();
  for (size_t begin = 0; begin < length;) {
    const size_t room = limit - (begin > 0 && whole.has_bos ? 1 : 0);
    const size_t end = std::min(length, begin + room);
    parts.push_back(part(whole, begin, end));
    begin = end;
  }
  return parts;
}

}  // namespace

bool trains(const Sample& sample) {
  return std::find(sample.supervised.begin(), sample.supervised.end(), 1) != sample.supervised.end();
}

bool trains_one_of(const Sample& sample, const std::vector<int64_t>& ids) {
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    if (sample.supervised[i] && std::ranges::count(ids, sample.ids[i]) > 0) return true;
  }
  return false;
}

bool trains_none_but(const Sample& sample, const std::vector<int64_t>& ids) {
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    if (sample.supervised[i] && std::ranges::count(ids, sample.ids[i]) == 0) return false;
  }
  return true;
}

void WholeSample::add(int64_t id, bool target) {
  sample.supervised.push_back(target && !sample.ids.empty());
  sample.ids.push_back(static_cast<int32_t>(id));
}

void note_unread(const WholeSample& whole, EncodedExample& encoded) {
  for (const std::string& key : whole.unread) {
    std::string name = "message." + key;
    if (std::ranges::count(encoded.unread, name) == 0) encoded.unread.push_back(std::move(name));
  }
}

EncodedExample fit(WholeSample whole, const EncodeOptions& options) {
  EncodedExample encoded{.samples = {}, .counts = whole.counts};
  note_unread(whole, encoded);
  SourceCounts& counts = encoded.counts;
  const auto limit = static_cast<size_t>(std::max<int64_t>(options.max_length, 2));
  const bool trained = trains(whole.sample);
  if (whole.sample.ids.size() <= limit) {
    encoded.samples.push_back(std::move(whole.sample));
  } else if (options.overlong == Overlong::kDrop && trained) {
    counts = {.too_long = 1};
    return encoded;
  } else if (options.overlong == Overlong::kSplit) {
    encoded.samples = split(whole, limit);
    counts.split = 1;
  } else {
    encoded.samples.push_back(part(whole, 0, limit));
    counts.cut = 1;
  }
  std::erase_if(encoded.samples, [](const Sample& sample) { return !trains(sample); });
  if (encoded.samples.empty()) {
    encoded.counts = {.untrained = 1, .untrained_by_cut = trained, .untrained_no_answer = !trained && !whole.is_answer};
    return encoded;
  }
  counts.answers = whole.is_answer;
  counts.ended = whole.is_answer && std::ranges::any_of(encoded.samples, [&](const Sample& sample) {
                   return trains_one_of(sample, whole.end_ids);
                 });
  counts.only_end = whole.is_answer && std::ranges::all_of(encoded.samples, [&](const Sample& sample) {
                      return trains_none_but(sample, whole.end_ids);
                    });
  return encoded;
}

}  // namespace lora
