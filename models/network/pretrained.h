#pragma once
// A Hugging Face directory -> a network: config.json and one or sharded model.safetensors.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/base/names.h"
#include "models/network/decoder.h"
#include "models/network/new_rows.h"

namespace lora {

// The names that `dtype` below accepts; auto: as config.json says, where float16 is computed in float32.
const Names& dtype_names();
// Of a model's dtype, one of these.
std::string dtype_name(at::ScalarType dtype);

// The head on the decoder, and its vocabulary.
struct HeadOptions {
  LabelNames labels = {};  // of a classification head; empty: a language model's head
  uint64_t seed = 0;       // of a fresh classification head, drawn as transformers does: N(0, initializer_range)
  NewRows new_rows = {};   // of embedding and head, beyond the files'
  std::vector<int64_t> new_tokens = {};  // for ModelConfig
};

// What a model is loaded as, and where.
struct ModelForm {
  at::ScalarType dtype;
  at::Device device = at::kCPU;
};

// Makes a projection on the device of its weight (out, in), as the file has it, and its bias, which is on the device or
// undefined. The weight must not be kept: its memory may be given back after the call.
using Quantizer = std::function<std::shared_ptr<Linear>(const std::string& path, const at::Tensor& weight,
                                                        const at::Tensor& bias, const ModelForm& model)>;

// A directory that holds a classifier keeps its own `score`, so the labels must be as many as its. Asking it for a
// language model is a ModelError; from a language model's directory only the decoder is taken for a classifier. Weights
// are memory-mapped and used in place where they have the requested dtype, else converted one by one. A missing,
// misshapen or unexpected tensor is a ModelError that names it and its file, and so is a head that is tied in
// config.json and differs in the file, and a second set of weights. (Ignored: rotary inv_freq buffers that old
// exporters wrote, and the copy of a tied head.) `dtype`: one of dtype_names(). A quantizer makes the layers'
// projections one after another, so that at most one of them is in memory as the file has it. On another device than
// the CPU the weights are copies, made one after another: the host holds one at a time.
std::shared_ptr<LlamaForCausalLM> load_pretrained(const std::filesystem::path& directory, const std::string& dtype,
                                                  const HeadOptions& head = {}, const Quantizer& quantizer = {},
                                                  at::Device device = at::kCPU);

// The same network with fresh weights: N(0, initializer_range), norms 1, biases 0; the same for the same seed.
std::shared_ptr<LlamaForCausalLM> make_random(const std::filesystem::path& directory, const std::string& dtype,
                                              uint64_t seed, const LabelNames& labels = {},
                                              const Quantizer& quantizer = {}, at::Device device = at::kCPU);

// The same network on the meta device, where tensors have shapes and no memory: of config.json alone.
std::shared_ptr<LlamaForCausalLM> make_meta(const std::filesystem::path& directory, const std::string& dtype,
                                            const LabelNames& labels = {}, const Quantizer& quantizer = {});

// The files that load_pretrained reads weights from; none if there are none. Throws ModelError for a damaged index.
std::vector<std::filesystem::path> weight_files(const std::filesystem::path& directory);

// Whether the directory holds weights that load_pretrained would read.
bool has_weights(const std::filesystem::path& directory);

}  // namespace lora
