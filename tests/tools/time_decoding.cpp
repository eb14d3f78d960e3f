// How fast a model reads and writes, for scripts/bench_generation and scripts/check_gpu.
//
//   time_decoding MODEL DTYPE QUANTIZATION THREADS READ WRITE SEQUENCES ADAPTERS RANK [DEVICE]
//
// MODEL: a directory with a config.json; weights are random where it has none. SEQUENCES texts of READ tokens are read
// and written on by WRITE tokens, side by side, each with one of ADAPTERS random adapters of that rank on all projections
// (0: the base alone). One text of the base is written in turn with them. Prints {"read": tokens/s, "write": tokens/s,
// "one": tokens/s of the one text, "bytes": of the weights, "loop": bytes/s of a loop that reads as many bytes on as many
// threads}.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "lora/adapters/adapter_set.h"
#include "lora/inference/continuous_batch.h"
#include "lora/quantization/quantizer.h"
#include "models/base/error.h"
#include "models/base/threads.h"
#include "models/engine/devices.h"
#include "models/network/pretrained.h"

namespace {

using namespace lora;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Bytes that a token's pass reads of the layers and the head.
int64_t weight_bytes(const LlamaForCausalLM& model) {
  int64_t bytes = 0;
  const auto add = [&](const WeightHandle& weight) {
    if (!weight.packed()) return bytes += static_cast<int64_t>(weight.dense().nbytes()), void();
    if (!weight.device().is_cpu()) return bytes += weight.packed()->bytes(), void();
    const auto rows = weight.packed()->encoded_rows();
    if (!rows) throw ModelError("the encoding is not read as it is held");
    bytes += static_cast<int64_t>(rows->values.nbytes() + (rows->scales.defined() ? rows->scales.nbytes() : 0));
  };
  for (const auto& layer : model.model->layers) {
    for (const ProjectionGroup group : kProjectionGroups) {
      for (const auto& projection : layer->projections(group)) add(projection->weight_handle());
    }
  }
  add(model.unadapted_head_weight());
  return bytes;
}

// Bytes a second of a loop that only reads.
double read_loop(int64_t bytes) {
  const at::Tensor memory = at::ones({bytes / 8}, at::kLong);
  const auto* const words = memory.const_data_ptr<int64_t>();
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    std::atomic<int64_t> all = 0;
    const double begin = now();
    parallel_for(memory.numel(), 1 << 17, [&](int64_t first, int64_t last) {
      int64_t sum = 0;
      for (int64_t k = first; k < last; ++k) sum += words[k];
      all += sum;
    });
    if (all != memory.numel()) std::abort();
    best = std::max(best, static_cast<double>(memory.nbytes()) / (now() - begin));
  }
  return best;
}

using Snapshots = std::vector<std::shared_ptr<const ModelSnapshot>>;

struct Speed {
  double read = 0, write = 0;  // tokens/s
  void take_best(const Speed& other) {
    read = std::max(read, other.read);
    write = std::max(write, other.write);
  }
};

// So many texts, each by the next of the models.
Speed time_texts(BatchDecoder& decoder, const Snapshots& models, int64_t read, int64_t write, int64_t sequences,
                 int64_t vocabulary) {
  ContinuousBatch batch(decoder, nullptr, {.at_once = static_cast<size_t>(sequences), .prompt_piece = 1 << 20});
  int64_t begun = 0, written = 0;
  for (int64_t i = 0; i < sequences; ++i) {
    std::vector<int64_t> prompt;
    for (int64_t k = 0; k < read; ++k) prompt.push_back((k * 31 + i * 7 + 3) % vocabulary);
    batch.add({.model = models[static_cast<size_t>(i) % models.size()],
               .prompt = std::move(prompt),
               .max_new_tokens = write + 1,
               .on_token = [&, first = true](int64_t, std::span<const float>) mutable {
                 begun += std::exchange(first, false);
                 ++written;
                 return true;
               }});
  }
  const double begin = now();
  batch.pass();  // all prompts
  const double middle = now();
  if (begun != sequences) throw ModelError("the prompts were not read in one pass");
  written = 0;
  while (!batch.is_empty()) batch.pass();
  const double end = now();
  return {static_cast<double>(sequences * read) / (middle - begin), static_cast<double>(written) / (end - middle)};
}

int run(int argc, char** argv) {
  const at::Device device = argc > 10 ? named_device(argv[10]) : at::Device(at::kCPU);
  const auto number = [&](int i) { return std::stoll(argv[i]); };
  const std::string directory = argv[1], dtype = argv[2], quantization = argv[3];
  const int64_t read = number(5), write = number(6), sequences = number(7), adapters = number(8), rank = number(9);
  at::set_num_threads(static_cast<int>(number(4)));
  const Quantizer quantizer = make_quantizer({.encoding = quantization});
  const auto model = has_weights(directory) ? load_pretrained(directory, dtype, {}, quantizer, device)
                                            : make_random(directory, dtype, 0, {}, quantizer, device);
  AdapterSet set(model);
  model->eval();
  BatchDecoder decoder(*model);
  const int64_t bytes = weight_bytes(*model), vocabulary = model->config().vocab_size;
  const Snapshots base = {decoder.snapshot(*model)};
  Snapshots adapted;
  for (int64_t i = 0; i < adapters; ++i) {
    AdapterConfig config;
    config.target_modules = AllLinear{};
    config.rank = rank;
    config.alpha = 2.0 * static_cast<double>(rank);
    set.add("a" + std::to_string(i), config, static_cast<uint64_t>(i));
    adapted.push_back(decoder.snapshot(*model));
  }

  Speed one, texts;
  for (int round = 0; round < 4; ++round) {
    one.take_best(time_texts(decoder, base, read, write, 1, vocabulary));
    texts.take_best(time_texts(decoder, adapted.empty() ? base : adapted, read, write, sequences, vocabulary));
  }
  const nlohmann::json found = {
      {"read", texts.read}, {"write", texts.write}, {"one", one.write}, {"bytes", bytes}, {"loop", read_loop(bytes)}};
  std::puts(found.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 10 && argc != 11) {
    std::fprintf(stderr,
                 "time_decoding MODEL DTYPE QUANTIZATION THREADS READ WRITE SEQUENCES ADAPTERS RANK [DEVICE]\n");
    return 2;
  }
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
