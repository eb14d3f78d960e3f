#!/usr/bin/env python3
"""Writes tests/golden/: small random models with the logits that transformers computes for them, the modules that PEFT
picks for a list of patterns, and what PEFT's methods compute and learn. Run again after a change here:

    pip install torch==2.13.0 transformers peft==0.21.2
    scripts/make_golden.py
"""

import json
import pathlib
import shutil
import tempfile

import peft
import safetensors.torch
import torch
import transformers
from peft.optimizers import create_loraplus_optimizer
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


# Adapters of PEFT's: how each is made, the golden model it is on, and the LoRA+ ratio it is trained with.
METHODS = {
    "rslora": (dict(use_rslora=True), "default", None),
    "dora": (dict(use_dora=True), "default", None),
    "dora_biases": (dict(use_dora=True, use_rslora=True), "biases", None),
    "dora_loraplus": (dict(use_dora=True), "default", 8.0),
    "pissa": (dict(init_lora_weights="pissa"), "default", None),
    "pissa_rslora": (dict(init_lora_weights="pissa", use_rslora=True), "default", None),
    "olora": (dict(init_lora_weights="olora"), "default", None),
}


def write_methods():
    """peft/NAME/: an adapter as PEFT saves it; the gradients (grads.safetensors) and logits it has, and the losses of the
    AdamW steps that follow. PiSSA and OLoRA are trained from their own start, and the adapter is what PEFT's conversion
    makes of them after the last step."""
    ids = (torch.arange(40) * 31 + 7).remainder(SHAPE["vocab_size"]).view(2, 20)
    for name, (options, base, ratio) in METHODS.items():
        torch.manual_seed(1)
        model = peft.get_peft_model(
            LlamaForCausalLM.from_pretrained(GOLDEN / "models" / base, dtype=torch.float32),
            peft.LoraConfig(r=3, lora_alpha=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", **options))
        model.peft_config["default"].base_model_name_or_path = base
        directory = GOLDEN / "peft" / name
        shutil.rmtree(directory, ignore_errors=True)
        converts = "init_lora_weights" in options
        with tempfile.TemporaryDirectory() as start:
            if converts:
                model.peft_config["default"].init_lora_weights = True
                model.save_pretrained(pathlib.Path(start) / "start")
            else:
                with torch.no_grad():
                    for key, parameter in model.named_parameters():
                        if "lora_B" in key:
                            parameter.normal_(0, 0.1)
                        if "magnitude" in key:
                            parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
                model.save_pretrained(directory)

            trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
            if ratio:
                optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=5e-3,
                                                                      loraplus_lr_ratio=ratio)
            else:
                optimizer = torch.optim.AdamW(trained.values(), lr=5e-3, weight_decay=0.0)
            losses, grads = [], None
            for _ in range(6):
                logits = model(input_ids=ids).logits
                loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
                optimizer.zero_grad()
                loss.backward()
                if grads is None:
                    first = logits[:, -1].tolist()
                    grads = {key.removeprefix("base_model.model.").split(".default")[0]: p.grad.clone()
                             for key, p in trained.items()}
                optimizer.step()
                losses.append(loss.item())
            with torch.no_grad():
                last = model(input_ids=ids).logits[:, -1].tolist()
            if converts:
                model.save_pretrained(directory, path_initial_model_for_weight_conversion=str(pathlib.Path(start) / "start"))
        (directory / "README.md").unlink()
        if not converts:
            safetensors.torch.save_file(grads, directory / "grads.safetensors")
        (directory / "expected.json").write_text(json.dumps(
            {"model": base, "loraplus_lr_ratio": ratio or 1.0, "losses": losses, "logits_first": first,
             "logits_last": last}) + "\n")


def main():
    transformers.logging.set_verbosity_error()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    write_models()
    write_matches()
    write_methods()


if __name__ == "__main__":
    main()
