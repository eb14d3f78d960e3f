#!/usr/bin/env python3
"""Writes tests/golden/: small random models with the logits that transformers computes for them, and the modules that
PEFT picks for a list of patterns, adapters and what PEFT combines them to. Run again after a change here:

    pip install torch==2.13.0 transformers peft==0.21.2
    scripts/make_golden.py
"""

import json
import pathlib
import shutil

import peft
import torch
import transformers
from safetensors.torch import save_file
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


COMBINED = {  # adapters of layer 0: equal ranks, with another scaling and other modules each; and one of another rank
    "a": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "b": dict(r=4, lora_alpha=6, target_modules=["q_proj", "up_proj"], use_rslora=True),
    "c": dict(r=2, lora_alpha=3, target_modules=["v_proj", "up_proj"]),
}
COMBINATIONS = [
    {"combination_type": "cat", "adapters": ["a", "b", "c"], "weights": [0.7, -0.3, 0.5]},
    {"combination_type": "svd", "adapters": ["a", "b", "c"], "weights": [0.7, -0.3, 0.5], "svd_rank": 3},
    {"combination_type": "linear", "adapters": ["a", "b"], "weights": [0.7, -0.3]},
    *({"combination_type": kind + end, "adapters": ["a", "b"], "weights": [0.7, 0.4], "density": 0.6, **sign}
      for kind, sign in [("ties", {}), ("ties", {"majority_sign_method": "frequency"}), ("dare_linear", {}),
                         ("dare_ties", {}), ("magnitude_prune", {})] for end in ["", "_svd"]),
]
COMBINATION_SEED = 5


def write_combinations():
    """tests/golden/combinations/: adapters as PEFT saves them, and each module's update after add_weighted_adapter."""
    directory = GOLDEN / "combinations"
    shutil.rmtree(directory, ignore_errors=True)
    torch.manual_seed(1)
    base = LlamaForCausalLM.from_pretrained(GOLDEN / "models" / "default")
    model = None
    for name, options in COMBINED.items():
        config = peft.LoraConfig(task_type="CAUSAL_LM", layers_to_transform=[0], **options)
        if model is None:
            model = peft.get_peft_model(base, config, adapter_name=name)
        else:
            model.add_adapter(name, config)
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if "lora_" in path:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    for name in COMBINED:
        model.peft_config[name].base_model_name_or_path = "default"
        model.save_pretrained(directory, selected_adapters=[name])
    freeze = peft.tuners.lora.model._freeze_adapter

    def freeze_and_seed(*arguments):  # between the new adapter's own random values and the pruning
        freeze(*arguments)
        torch.manual_seed(COMBINATION_SEED)
    peft.tuners.lora.model._freeze_adapter = freeze_and_seed
    cases, tensors = [], {}
    for i, case in enumerate(COMBINATIONS):
        model.add_weighted_adapter(adapter_name=f"case{i}", **case)
        for path, module in model.base_model.model.named_modules():
            if isinstance(module, peft.tuners.lora.LoraLayer) and f"case{i}" in module.lora_A:
                tensors[f"{i}.{path}"] = module.get_delta_weight(f"case{i}").detach().contiguous()
        cases.append(case)
    peft.tuners.lora.model._freeze_adapter = freeze
    save_file(tensors, directory / "expected.safetensors")
    (directory / "cases.json").write_text(json.dumps(
        {"made_with": f"peft {peft.__version__}", "seed": COMBINATION_SEED, "cases": cases}, indent=1) + "\n")
    for readme in directory.glob("**/README.md"):
        readme.unlink()


def main():
    transformers.logging.set_verbosity_error()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    write_models()
    write_matches()
    write_combinations()


if __name__ == "__main__":
    main()
