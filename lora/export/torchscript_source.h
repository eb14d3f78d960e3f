#pragma once
// The decoder of models/network/decoder.h as TorchScript source: the functions of each of its modules, written from the
// model's config and from the structure of its layers. torchscript.cpp builds the tree of modules, under Hugging Face's
// names.
//
// Dtypes are ScalarType numbers (6 float32, 11 bool), as in TorchScript's own files: source given to define() cannot
// name torch.float32.

#include <string>

#include "models/network/config.h"
#include "models/network/layer_structure.h"

namespace lora::script {

std::string embedding(double scale);       // (B, T) -> (B, T, H)
std::string linear(bool bias, bool int8);  // int8: with a scale a row
std::string norm(const ModelConfig& config);

// forward(x, cos, sin, cache, layer): `cache` is empty, or holds each layer's keys and values (B, kv_heads, S, D). The
// call appends its own keys and values.
std::string attention(const LayerStructure& layer);
std::string mlp(const LayerStructure& layer);
std::string layer(const LayerStructure& layer);
// The ending of the layer's type names. Layers of one model with the same ending have the same source.
std::string layer_kind(const LayerStructure& layer);

// forward(input_ids, cache, past) -> hidden states after the last norm. Buffers: inv_freq; local_inv_freq where
// has_local; long_inv_freq where has_long.
std::string model(const ModelConfig& config);
bool has_local(const ModelConfig& config);
bool has_long(const ModelConfig& config);

// The language model: forward(input_ids), logits(hidden), pick and generate.
std::string language_model(const ModelConfig& config);
std::string classifier();

}  // namespace lora::script
