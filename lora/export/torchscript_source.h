#pragma once
// The decoder of models/network/decoder.h once more, as TorchScript source: what each of its modules computes, after
// the model's description. Names of submodules are Hugging Face's; torchscript.cpp builds the tree.
//
// ScalarType numbers stand for dtypes (6 float32, 11 bool), as in TorchScript's own files: source given to define()
// knows no torch.float32.

#include <string>

#include "models/network/config.h"

namespace lora::script {

std::string embedding(double scale);       // (B, T) -> (B, T, H)
std::string linear(bool bias, bool int8);  // int8: with a scale a row
std::string norm(const ModelConfig& config);

// forward(x, cos, sin, cache, layer): `cache` is empty, or holds each layer's keys and values (B, kv_heads, S, D),
// which grow by this call's.
std::string attention(const ModelConfig& config, const LayerConfig& layer);
std::string mlp(const ModelConfig& config);
std::string layer(const ModelConfig& config);
// Layers with the same one have the same source.
std::string layer_kind(const LayerConfig& layer);

// forward(input_ids, cache, past) -> hidden states after the last norm. Buffers: inv_freq, and local_inv_freq and
// long_inv_freq where has_local and has_long say so.
std::string model(const ModelConfig& config);
bool has_local(const ModelConfig& config);
bool has_long(const ModelConfig& config);

// The language model: forward(input_ids), logits(hidden), pick and generate.
std::string language_model(const ModelConfig& config);
std::string classifier();

}  // namespace lora::script
