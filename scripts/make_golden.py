#!/usr/bin/env python3
"""Writes tests/golden/: small random models with the logits that transformers computes for them, the modules that
PEFT picks for a list of patterns, and weights as bitsandbytes encodes them. Run again after a change here:

    pip install torch==2.13.0 transformers peft==0.21.2 bitsandbytes==0.50.2
    scripts/make_golden.py
"""

import json
import pathlib
import shutil

import bitsandbytes.functional
import peft
import safetensors.torch
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"

SHAPE = dict(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2)

MODELS = {
    "default": (LlamaForCausalLM, LlamaConfig(**SHAPE)),
    "tied": (LlamaForCausalLM, LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "head_dim": (LlamaForCausalLM, LlamaConfig(**SHAPE, head_dim=6)),
    "biases": (LlamaForCausalLM, LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True)),
    "rope_linear": (LlamaForCausalLM, LlamaConfig(**SHAPE, rope_parameters={
        "rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0})),
    "rope_llama3": (LlamaForCausalLM, LlamaConfig(**{**SHAPE, "head_dim": 16}, rope_parameters={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32, "rope_theta": 500000.0})),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SHAPE, rms_norm_eps=1e-5, tie_word_embeddings=True)),
}


def write_models():
    for name, (cls, config) in MODELS.items():
        torch.manual_seed(len(name))
        model = cls(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # larger than initial values, so that every part counts
                parameter.add_(torch.randn_like(parameter) * 0.3)
        directory = GOLDEN / "models" / name
        shutil.rmtree(directory, ignore_errors=True)
        model.save_pretrained(directory)
        (directory / "generation_config.json").unlink(missing_ok=True)
        ids = torch.randint(3, config.vocab_size, (2, 40))
        with torch.no_grad():
            logits = model(ids).logits
            greedy = model.generate(ids[:1, :6], max_new_tokens=12, do_sample=False, eos_token_id=None,
                                    pad_token_id=0)[0, 6:]
        expected = {"input_ids": ids.tolist(), "logits_last": logits[:, -1].tolist(),
                    "logits_sum": logits.double().sum(-1).tolist(), "greedy_6_12": greedy.tolist()}
        (directory / "expected.json").write_text(json.dumps(expected) + "\n")


MATCHES = [
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": ["self_attn.k_proj"]},
    {"target_modules": ["model.layers.1.mlp.up_proj"]},
    {"target_modules": r".*\.layers\.[02]\..*(gate|down)_proj"},
    {"target_modules": r".*self_attn\.(q|k)_proj$"},
    {"target_modules": "all-linear"},
    {"target_modules": "all-linear", "exclude_modules": ["o_proj", "model.layers.0.mlp.up_proj"]},
    {"target_modules": ["q_proj", "up_proj"], "exclude_modules": r".*layers\.1\..*"},
    {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [0, 2]},
    {"target_modules": ["q_proj", "lm_head"]},
    {"target_modules": ["q_proj", "lm_head"], "modules_to_save": ["lm_head"]},
    {"target_modules": ["q_proj", "k_proj"], "rank_pattern": {"k_proj": 4, r"layers\.1\..*": 2}},
    {"target_modules": ["q_proj", "k_proj"], "alpha_pattern": {r"model\.layers\.[01]\.self_attn\.q_proj": 5, "q_proj": 7}},
    {"target_modules": ["o_proj"], "rank_pattern": {"_proj|o_proj": 3}},
]


def write_matches():
    cases = []
    for options in MATCHES:
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "num_hidden_layers": 3}))
        config = peft.LoraConfig(r=8, lora_alpha=16, task_type="CAUSAL_LM", **options)
        wrapped = peft.get_peft_model(model, config).base_model.model
        modules = {}
        for path, module in wrapped.named_modules():
            if isinstance(module, peft.tuners.lora.LoraLayer):
                modules[path] = [module.r["default"], module.scaling["default"] * module.r["default"]]
        cases.append({"options": options, "modules": modules})
    (GOLDEN / "peft_matches.json").write_text(json.dumps(
        {"made_with": f"peft {peft.__version__}", "layers": 3, "cases": cases}, indent=1) + "\n")


def write_quantization():
    """The nested scales' codes are those of bitsandbytes' CUDA kernels and of its fallback in torch, which take the
    nearest level; its CPU library rounds to a grid of 16 bits first and is off by one level in about one of 400. Given
    float64 it takes the fallback."""
    functional = bitsandbytes.functional
    torch.manual_seed(5)
    weight = (torch.randn(266, 63) * torch.rand(266, 1).exp() * 0.02).bfloat16()  # rows that no block divides, two nested blocks
    weight[3] = 0  # a whole block of zeros among them
    codes, state = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    offset = state.absmax.mean()
    levels = functional.create_dynamic_map()
    nested, nested_absmax = torch.ops.bitsandbytes.quantize_blockwise.default(
        (state.absmax - offset).double(), levels, 256)
    scales = functional.dequantize_blockwise(nested, absmax=nested_absmax, code=levels, blocksize=256) + offset
    values = lambda absmax: torch.ops.bitsandbytes.dequantize_4bit.default(
        codes, absmax, 64, "nf4", weight.shape, torch.float32)
    rows, row_scales, _ = functional.int8_vectorwise_quant(weight[:5].float())
    safetensors.torch.save_file({
        "weight": weight, "nf4_codes": codes.flatten(), "nf4_absmax": state.absmax, "nf4_offset": offset.reshape(1),
        "nf4_nested_codes": nested, "nf4_nested_absmax": nested_absmax, "dynamic_levels": levels,
        "nf4_values": values(state.absmax)[:5].clone(), "nf4_nested_values": values(scales)[:5].clone(),
        "int8_codes": rows, "int8_absmax": row_scales,
        "int8_values": functional.int8_vectorwise_dequant(rows, row_scales)}, GOLDEN / "quantization.safetensors")


def main():
    transformers.logging.set_verbosity_error()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    write_models()
    write_matches()
    write_quantization()


if __name__ == "__main__":
    main()
