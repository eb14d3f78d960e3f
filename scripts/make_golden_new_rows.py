#!/usr/bin/env python3
"""Writes tests/golden/new_rows/: the rows that transformers' resize_token_embeddings draws for models of
tests/golden/models, and an adapter that PEFT trained on a model so resized. Run again after a change here:

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2
    scripts/make_golden_new_rows.py
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
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
ROWS = 51

# Name -> base, options of an adapter on it.
ADAPTERS = {
    "whole": ("default", dict(modules_to_save=["embed_tokens", "lm_head"])),
    "rows": ("tied", dict(trainable_token_indices=[48, 49, 50])),
    "rows_apart": ("default", dict(trainable_token_indices=[48, 49, 50])),
}


def resized(base):
    model = transformers.AutoModelForCausalLM.from_pretrained(GOLDEN / "models" / base)
    torch.manual_seed(7)
    model.resize_token_embeddings(ROWS)
    return model


def main():
    root = GOLDEN / "new_rows"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    rows = {}
    for base in ("default", "tied"):
        model = transformers.AutoModelForCausalLM.from_pretrained(GOLDEN / "models" / base)
        new = {name: torch.nn.Embedding(ROWS, 16) for name in ("embed_tokens", "lm_head")}
        torch.manual_seed(7)  # resize_token_embeddings draws other numbers before these
        for name, old in (("embed_tokens", model.model.embed_tokens), ("lm_head", model.lm_head)):
            model._init_added_embeddings_weights_with_mean(old, new[name], 48, ROWS - 48)
            rows[f"{base}.{name}"] = new[name].weight[48:].detach().clone()
    save_file(rows, root / "rows.safetensors")
    ids = (torch.arange(40) * 31 + 7).remainder(ROWS).view(2, 20)
    for name, (base, options) in ADAPTERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = get_peft_model(resized(base), LoraConfig(r=3, lora_alpha=4, target_modules=["q_proj"],
                                                             task_type="CAUSAL_LM", **options))
            torch.manual_seed(3)
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.data.add_(torch.randn_like(parameter) * 0.1)
            model.save_pretrained(root / name)
        (root / name / "README.md").unlink(missing_ok=True)
        config = json.loads((root / name / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = base
        (root / name / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
        save_file({"input_ids": ids, "logits": model(ids).logits[:, -1].detach().contiguous()},
                  root / name / "expected.safetensors")
        print(name, sorted(p.name for p in (root / name).iterdir()))


if __name__ == "__main__":
    main()
