#!/usr/bin/env python3
"""Writes tests/golden/peft_options/: adapters that PEFT saved of the models in tests/golden/models, one an option of its
LoraConfig, with every trained value moved, the logits that it computes with them and the gradients of a mean loss. Run
again after a change here:

    pip install torch==2.13.0 transformers peft==0.21.2
    scripts/make_golden_adapters.py
"""

import json
import os
import pathlib
import shutil
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
TARGETS = ["q_proj", "down_proj"]

# Name -> model, options.
CASES = {
    "embedding": ("default", dict(target_modules=["q_proj", "embed_tokens"], rank_pattern={"embed_tokens": 2},
                                  alpha_pattern={"embed_tokens": 5})),
    "head": ("default", dict(target_modules=["lm_head", "embed_tokens"], use_rslora=True)),
    "embedding_whole": ("default", dict(target_modules=["q_proj", "lm_head"], modules_to_save=["embed_tokens", "norm"])),
    "tied_embedding": ("tied", dict(target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True)),
    "tied_head": ("qwen2", dict(target_modules=["lm_head"], ensure_weight_tying=True)),
    "tied_whole": ("qwen2", dict(target_modules=TARGETS, modules_to_save=["lm_head"], ensure_weight_tying=True)),
    "parted_embedding": ("tied", dict(target_modules=["q_proj", "embed_tokens"])),
    "parted_head": ("qwen2", dict(target_modules=["q_proj", "lm_head"], use_dora=True)),
    "parted_whole": ("tied", dict(target_modules=TARGETS, modules_to_save=["embed_tokens"])),
    "parted_both": ("tied", dict(target_modules=TARGETS, modules_to_save=["embed_tokens", "lm_head"])),
    "rows": ("tied", dict(target_modules=TARGETS, trainable_token_indices=[7, 3, 40])),
    "rows_apart": ("default", dict(target_modules=TARGETS, trainable_token_indices={"model.embed_tokens": [11]})),
    "bias_all": ("biases", dict(target_modules=TARGETS, bias="all")),
    "bias_lora_only": ("qwen2", dict(target_modules=TARGETS, bias="lora_only", use_dora=True)),
    "lora_bias": ("biases", dict(target_modules=TARGETS, lora_bias=True)),
    "layers": ("default", dict(target_modules=[*TARGETS, "model.layers.0.self_attn.k_proj"], layers_to_transform=1,
                               layers_pattern="layers")),
    # The first pattern that matches a module counts, in the order of the file.
    "overlapping_patterns": ("default", dict(target_modules=TARGETS,
                                             rank_pattern={"q_proj": 2, "layers.1.self_attn.q_proj": 5},
                                             alpha_pattern={"q_proj": 64, "layers.1.self_attn.q_proj": 4,
                                                            "layers.1..*": 3})),
    # Names of other models' modules.
    "unmatched": ("default", dict(target_modules=[*TARGETS, "w1", "query_key_value"], exclude_modules=["w3"],
                                  modules_to_save=["norm", "score"], layers_to_transform=[1, 7],
                                  rank_pattern={"w1": 2, "v_proj": 4}, alpha_pattern={"w2": 9})),
    # As PEFT saves where the vocabulary was resized: base and trained weights under several names.
    "resized_whole": ("default", dict(target_modules=TARGETS, modules_to_save=["embed_tokens", "lm_head"])),
    "resized_rows": ("tied", dict(target_modules=TARGETS, trainable_token_indices=[7, 3])),
    "resized_rows_apart": ("default", dict(target_modules=TARGETS, trainable_token_indices=[7, 3])),
}


def inputs():
    return (torch.arange(40) * 31 + 7).remainder(48).view(2, 20)


def main():
    for name, (base, options) in CASES.items():
        directory = GOLDEN / "peft_options" / name
        shutil.rmtree(directory, ignore_errors=True)
        torch.manual_seed(3)
        model = transformers.AutoModelForCausalLM.from_pretrained(GOLDEN / "models" / base)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = get_peft_model(model, LoraConfig(r=3, lora_alpha=4, task_type="CAUSAL_LM", **options))
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.data.add_(torch.randn_like(parameter) * 0.1)
            model.save_pretrained(directory, save_embedding_layers=name.startswith("resized") or "auto")
        (directory / "README.md").unlink(missing_ok=True)
        config = json.loads((directory / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = base
        for key in ("rank_pattern", "alpha_pattern"):  # PEFT sorts them when it saves
            config[key] = options.get(key, {})
        (directory / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")

        ids = inputs()
        loss = torch.nn.functional.cross_entropy(model(ids).logits[:, :-1].reshape(-1, 48), ids[:, 1:].reshape(-1))
        loss.backward()
        saved = load_file(directory / "adapter_model.safetensors")
        expected = {"logits": model(ids).logits[:, -1].detach().contiguous(), "loss": loss.detach()}
        for key, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            plain = key.replace(".default", "").replace(".modules_to_save", "")
            match = [tensor for tensor in saved if tensor in (plain, plain.removesuffix(".weight"))]
            assert len(match) == 1, key
            expected[match[0]] = parameter.grad.contiguous()
        # PEFT has a tied adapter twice, each with its part of the gradient.
        embedding, head = "base_model.model.model.embed_tokens.lora_embedding_", "base_model.model.lm_head.lora_"
        if options.get("ensure_weight_tying") and embedding + "A" in expected:
            for own, other in ("AB", "BA"):
                expected[embedding + own] += expected.pop(f"{head}{other}.weight").t()
        save_file(expected, directory / "expected.safetensors")
        print(name, loss.item())


if __name__ == "__main__":
    main()
