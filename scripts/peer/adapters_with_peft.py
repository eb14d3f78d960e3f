#!/usr/bin/env python3
"""Adapters both ways with PEFT over a matrix of what its LoraConfig can say, on tiny random models, tied and not:

  1. theirs → ours: PEFT writes an adapter with every trained value moved; lora-export merges it, and transformers computes
     PEFT's own logits of the merged directory within 1e-5;
  2. ours → theirs: what lora-export writes of it for PEFT is loaded by PeftModel.from_pretrained without a warning, and
     computes the same logits;
  3. both train it for some steps from there on the same rows; losses agree within 1e-5, and what lora-train then writes
     is loaded by PEFT without a warning and has the logits of lora-train's merged directory.

Then, what is not supported is refused by name, and a file that does not fit is an error that lists what is wrong.

    scripts/peer/adapters_with_peft.py --lora-train build/lora-train [--only WORD]
"""

import json
import os
import pathlib
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import common
import peft
import sentencepiece
import torch
import transformers
from peft import AdaLoraConfig, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

STEPS, ROWS, RATE, LENGTH = 3, 2, 5e-3, 128
SHAPE = dict(vocab_size=1024, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2)
MODELS = {
    "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig(**SHAPE, attention_bias=True)),
    "qwen2": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config(**SHAPE, tie_word_embeddings=True)),
    "gemma2": (transformers.Gemma2ForCausalLM, transformers.Gemma2Config(**SHAPE, head_dim=8, query_pre_attn_scalar=8)),
}
ATTENTION = ["q_proj", "v_proj"]

# Name -> models, PEFT's options.
CASES = {
    "patterns": ("both", dict(target_modules=["q_proj", "mlp.down_proj"], rank_pattern={"down_proj": 2, r"layers\.1\..*q_proj": 6},
                              alpha_pattern={"q_proj": 3})),
    "regular expression": ("llama", dict(target_modules=r".*\.layers\.\d\.(self_attn\.[qo]|mlp\.up)_proj",
                                         exclude_modules=r".*layers\.0.*o_proj")),
    "all-linear": ("both", dict(target_modules="all-linear", exclude_modules=["k_proj"])),
    "layers": ("llama", dict(target_modules=[*ATTENTION, "model.layers.0.mlp.up_proj"], layers_to_transform=[1],
                             layers_pattern="layers")),
    "one layer": ("llama", dict(target_modules=ATTENTION, layers_to_transform=0)),
    "rslora": ("llama", dict(target_modules=ATTENTION, use_rslora=True)),
    "dora": ("qwen2", dict(target_modules=ATTENTION, use_dora=True)),
    "dora, rslora, biases": ("llama", dict(target_modules=ATTENTION, use_dora=True, use_rslora=True, bias="lora_only")),
    "all biases": ("both", dict(target_modules=ATTENTION, bias="all")),
    "biases of the adapted": ("both", dict(target_modules=ATTENTION, bias="lora_only")),
    "a bias of B": ("llama", dict(target_modules=ATTENTION, lora_bias=True)),
    "norms": ("both", dict(target_modules=ATTENTION, modules_to_save=["norm"])),
    "a layer's norm": ("llama", dict(target_modules=ATTENTION, modules_to_save=["layers.1.input_layernorm"])),
    "embedding": ("llama", dict(target_modules=[*ATTENTION, "embed_tokens"])),
    "embedding alone": ("llama", dict(target_modules=["embed_tokens"])),
    "embedding, patterns": ("llama", dict(target_modules=[*ATTENTION, "embed_tokens"], rank_pattern={"embed_tokens": 2},
                                          alpha_pattern={"embed_tokens": 3}, use_rslora=True)),
    "head": ("llama", dict(target_modules=[*ATTENTION, "lm_head"])),
    "head, dora": ("llama", dict(target_modules=["lm_head"], use_dora=True)),
    "embedding and head": ("llama", dict(target_modules=[*ATTENTION, "embed_tokens", "lm_head"])),
    "embedding whole": ("llama", dict(target_modules=ATTENTION, modules_to_save=["embed_tokens"])),
    "head whole": ("llama", dict(target_modules=ATTENTION, modules_to_save=["lm_head"])),
    "embedding whole, head": ("llama", dict(target_modules=[*ATTENTION, "lm_head"], modules_to_save=["embed_tokens"])),
    "tied: embedding": ("qwen2", dict(target_modules=[*ATTENTION, "embed_tokens"], ensure_weight_tying=True)),
    "tied: head": ("qwen2", dict(target_modules=[*ATTENTION, "lm_head"], ensure_weight_tying=True)),
    "tied: both": ("qwen2", dict(target_modules=["embed_tokens", "lm_head"], ensure_weight_tying=True)),
    "tied: embedding whole": ("qwen2", dict(target_modules=ATTENTION, modules_to_save=["embed_tokens"],
                                            ensure_weight_tying=True)),
    "tied: head whole": ("qwen2", dict(target_modules=ATTENTION, modules_to_save=["lm_head"], ensure_weight_tying=True)),
    "parted: embedding": ("qwen2", dict(target_modules=[*ATTENTION, "embed_tokens"])),
    "parted: head": ("qwen2", dict(target_modules=[*ATTENTION, "lm_head"])),
    "parted: both": ("qwen2", dict(target_modules=[*ATTENTION, "embed_tokens", "lm_head"])),
    "parted: embedding whole": ("qwen2", dict(target_modules=ATTENTION, modules_to_save=["embed_tokens"])),
    "parted: head whole": ("qwen2", dict(target_modules=ATTENTION, modules_to_save=["lm_head"])),
    "parted: both whole": ("qwen2", dict(target_modules=ATTENTION, modules_to_save=["lm_head", "embed_tokens"])),
    "tied: scaled embedding": ("gemma2", dict(target_modules=[*ATTENTION, "embed_tokens"], ensure_weight_tying=True)),
    "parted: scaled embedding": ("gemma2", dict(target_modules=[*ATTENTION, "embed_tokens"])),
    "rows, scaled embedding": ("gemma2", dict(target_modules=ATTENTION, trainable_token_indices=[1, 5, 300])),
    "rows": ("both", dict(target_modules=ATTENTION, trainable_token_indices=[1, 5, 300])),
    "rows by name": ("llama", dict(target_modules=ATTENTION, trainable_token_indices={"embed_tokens": [7, 2]})),
    "pissa as it is trained": ("both", dict(target_modules=ATTENTION, init_lora_weights="pissa",
                                            rank_pattern={"q_proj": 2})),
    "olora as it is trained": ("llama", dict(target_modules=ATTENTION, init_lora_weights="olora", use_rslora=True)),
    "beginnings": ("llama", dict(target_modules=ATTENTION, init_lora_weights="orthogonal", fan_in_fan_out=True)),
    "adalora": ("llama", dict(target_modules=[*ATTENTION, "lm_head"], init_r=6, target_r=2, total_step=10)),
}

# What an adapter_config.json of PEFT's may say besides, and what the message has to say.
REFUSED = {
    "target parameters": (dict(target_parameters=["mlp.experts.up_proj"]), "target_parameters"),
    "pissa drawn at random": (dict(init_lora_weights="pissa_niter_4"), "path_initial_model_for_weight_conversion"),
    "loftq": (dict(init_lora_weights="loftq"), "a base that PEFT changed"),
    "aLoRA": (dict(alora_invocation_tokens=[3]), "alora_invocation_tokens"),
    "repeated layers": (dict(layer_replication=[[0, 2], [1, 2]]), "layer_replication"),
    "KaSA": (dict(kasa_config={"beta": 1e-4}), "kasa_config"),
    "rows of the head": (dict(trainable_token_indices={"lm_head": [3]}), "lm_head"),
    "an embedding's DoRA": (dict(target_modules=["embed_tokens"], use_dora=True), "method dora is for linear layers"),
    "another type": (dict(peft_type="LOHA"), "LOHA"),
    "an unknown option": (dict(use_wonder=True), "use_wonder"),
}

RENAMED = {"r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout"}


def adapter_of(options, config, start):
    """The recipe's `adapter` for what LoraConfig was given."""
    adapter = {"method": "dora" if options.get("use_dora") else "lora", "rank": config.r, "alpha": config.lora_alpha}
    for key, value in options.items():
        if key == "trainable_token_indices" and isinstance(value, dict):
            value = value["embed_tokens"]
        if key in ("layers_to_transform", "layers_pattern") and not isinstance(value, list):
            value = [value]
        if key not in ("use_dora", "fan_in_fan_out", "init_lora_weights"):
            adapter[RENAMED.get(key, key)] = value
    if options.get("init_lora_weights") in ("pissa", "olora"):
        adapter["init"] = options["init_lora_weights"]
    if isinstance(config, AdaLoraConfig):
        adapter = {"method": "adalora", "rank": config.init_r, "alpha": config.lora_alpha,
                   "target_modules": options["target_modules"], "adalora": {"target_r": config.target_r}}
    adapter["ensure_weight_tying"] = config.ensure_weight_tying
    adapter["init_from"] = str(start)
    return adapter


def tied_pairs(model):
    """What PEFT has twice of a tied adapter: two parameters over one memory, each with a part of the gradient. An
    optimizer that is given both moves that memory twice a step; here and in lora-train it has the sum of the gradients."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if not (hasattr(embedding, "lora_embedding_A") and hasattr(head, "lora_A") and model.config.tie_word_embeddings):
        return []
    pairs = [(embedding.lora_embedding_A["default"], head.lora_B["default"].weight),
             (embedding.lora_embedding_B["default"], head.lora_A["default"].weight)]
    return [(own, other) for own, other in pairs if own.data_ptr() == other.data_ptr()]


def train(model, samples):
    model.train()
    pairs = tied_pairs(model)
    twice = {id(other) for _, other in pairs}
    parameters = [p for p in model.parameters() if p.requires_grad and id(p) not in twice]

    def sum_tied():
        for own, other in pairs:
            own.grad.add_(other.grad.t())
            other.grad = None

    return common.reference_losses(model, samples, torch.optim.AdamW(parameters, lr=RATE, weight_decay=0), STEPS, ROWS,
                                   sum_tied)


def logits_of(model):
    with torch.no_grad():
        return model.eval()((torch.arange(60).view(2, 30) * 37 + 3) % SHAPE["vocab_size"]).logits


def load_quietly(base, adapter):
    # A head that was parted from a tied embedding by choice: PEFT says so at every load.
    return common.load_adapter(common.base_model(base), adapter, ".*is_gradient_checkpointing.*",
                               ".*`ensure_weight_tying` is not set to True.*")


def main():
    options = common.parse(__doc__, needs_data=False, only=dict(default="", help="cases whose name has this in it"))
    torch.set_num_threads(1)
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()

    def report(what, difference, bound=1e-5):
        verdicts.report(what, difference, bound)

    def export(adapter, format, output, base):
        return programs.export(adapter, format, output, "--model", base, "--threads", "1")

    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        names = [f"person number {i}" for i in range(STEPS * ROWS)]
        rows = [{"instruction": "Where is the house?", "input": "", "output": f"Near {name}."} for name in names]
        (work / "rows.json").write_text(json.dumps(rows))
        tokenizer_file = common.ROOT / "recipes" / "quickstart" / "model" / "tokenizer.model"
        tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file))
        samples = [common.encode(tokenizer, row, LENGTH) for row in rows]
        for name, (kind, config) in MODELS.items():
            torch.manual_seed(5)
            model = kind(config)
            with torch.no_grad():
                for parameter in model.parameters():  # larger than initial values, biases too
                    parameter.add_(torch.randn_like(parameter) * 0.1)
            model.save_pretrained(work / name)
            (work / name / "tokenizer.model").write_bytes(tokenizer_file.read_bytes())

        def adapted(base, case):
            kind = AdaLoraConfig if "init_r" in case else LoraConfig
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shape = {} if "init_r" in case else {"r": 4}
                return get_peft_model(common.base_model(work / base), kind(lora_alpha=8, task_type="CAUSAL_LM", **shape, **case))

        def save(model, where):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.save_pretrained(where)

        for name, (which, case) in CASES.items():
            if options.only not in name:
                continue
            for base in ("llama", "qwen2") if which == "both" else [which]:
                what = f"{name} ({base})"
                place = work / what.replace(" ", "-").replace(",", "").replace(":", "")
                torch.manual_seed(11)
                try:
                    model = adapted(base, case)
                    with torch.no_grad():
                        for parameter in model.parameters():
                            if parameter.requires_grad:
                                parameter.add_(torch.randn_like(parameter) * 0.1)
                    save(model, place / "start")
                    theirs = logits_of(model)
                    export(place / "start", "huggingface", place / "merged", work / base)
                    report(f"{what}: merged here", common.relative(logits_of(common.base_model(place / "merged")), theirs))
                    export(place / "start", "peft", place / "again", work / base)
                    report(f"{what}: written here, read by PEFT",
                           common.relative(logits_of(load_quietly(work / base, place / "again")), theirs))
                    if "init_r" in case:  # adalora's steps have a comparison of their own
                        continue
                    programs.train(common.write_recipe(
                        place / "recipe.yaml", model=work / base,
                        adapter=adapter_of(case, model.peft_config["default"], place / "start"),
                        data=common.rows_in_order(work / "rows.json"),
                        training=common.in_order(STEPS, ROWS, LENGTH, RATE, threads=1),
                        output=place / "run", export=["peft", "huggingface"]))
                    ours = common.losses(place / "run")
                    wanted = train(model, samples)
                    report(f"{what}: losses of {STEPS} steps", max(abs(a - b) for a, b in zip(ours, wanted, strict=True)))
                    loaded = logits_of(load_quietly(work / base, place / "run" / "adapter"))
                    report(f"{what}: trained here, read by PEFT",
                           common.relative(logits_of(common.base_model(place / "run" / "merged")), loaded))
                    report(f"{what}: trained on both sides", common.relative(loaded, logits_of(model)), 1e-3)
                except Exception as error:
                    verdicts.check(what, False, f"{type(error).__name__}: {str(error)[:500]}")

        def refused(what, adapter, *words):
            try:
                export(adapter, "peft", work / "none", work / "llama")
                message = "nothing"
            except RuntimeError as error:
                message = str(error)
            verdicts.check(f"refused, {what}", all(word in message for word in words), message)

        if not options.only:
            for name, (changes, word) in REFUSED.items():
                place = work / "refused" / name.replace(" ", "-")
                save(adapted("llama", dict(target_modules=ATTENTION)), place)
                config = json.loads((place / "adapter_config.json").read_text())
                (place / "adapter_config.json").write_text(json.dumps(config | changes))
                refused(name, place, word)
            for name in ("missing", "extra", "another base"):
                place = work / "refused" / name.replace(" ", "-")
                save(adapted("llama", dict(target_modules=[*ATTENTION, "embed_tokens"])), place)
                tensors = load_file(place / "adapter_model.safetensors")
                first = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
                base = "base_model.model.model.embed_tokens.base_layer.weight"
                words = {"missing": ["missing", first], "extra": ["not expected", "k_proj.lora_A.weight"],
                         "another base": ["another weight", base]}[name]
                if name == "missing":
                    del tensors[first]
                elif name == "extra":
                    tensors[first.replace("q_proj", "k_proj")] = tensors[first].clone()
                else:
                    tensors[base] = tensors[base] + 1
                save_file(tensors, place / "adapter_model.safetensors", metadata={"format": "pt"})
                refused(name, place, *words)
    return verdicts.end(peft)


if __name__ == "__main__":
    sys.exit(main())
