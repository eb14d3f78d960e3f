#include "lora/app/training/sample_hash.h"

#include "lora/terminal/text.h"

namespace lora {

void add_samples(Sha256& hash, const Dataset& data) {
  for (int64_t i = 0; i < data.size(); ++i) {
    const SampleView sample = data[i];
    const int64_t shape[] = {sample.length(), sample.fork.prompt, sample.fork.second};
    hash.update(shape, sizeof shape);
    hash.update(sample.ids.data(), sample.ids.size_bytes());
    hash.update(sample.supervised.data(), sample.supervised.size_bytes());
  }
}

std::string described_samples(const Dataset& data) {
  Sha256 hash;
  add_samples(hash, data);
  return with_commas(data.size()) + " samples, " + with_commas(data.tokens()) + " tokens, SHA-256 " + hash.digest();
}

}  // namespace lora
