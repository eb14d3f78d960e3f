#!/usr/bin/env python3
"""Writes tests/golden/families/: for every model family a small random model as transformers saves it, and in
expected.safetensors what transformers and PEFT compute with it: logits of every token, in float32 and in bfloat16, greedy
tokens, and the loss and gradients of a LoRA adapter whose weights are in the file too. Run again after a change here:

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2
    scripts/make_golden_families.py [NAME ...]
"""

import pathlib
import shutil
import sys

import peft
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "families"

SHAPE = dict(vocab_size=100, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
GEMMA = dict(SHAPE, num_hidden_layers=3, head_dim=6, query_pre_attn_scalar=5, sliding_window=7)
LONG = [1.0 + 0.3 * i for i in range(16)]

FAMILIES = {
    "llama_yarn": ("llama", dict(SHAPE, head_dim=32, rope_parameters=dict(
        rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16))),
    "mistral": ("mistral", dict(SHAPE, sliding_window=None, head_dim=6)),
    "mistral_window": ("mistral", dict(SHAPE, sliding_window=7)),
    "qwen2_window": ("qwen2", dict(SHAPE, use_sliding_window=True, sliding_window=7, max_window_layers=1)),
    "qwen3": ("qwen3", dict(SHAPE, head_dim=6, tie_word_embeddings=True)),
    "qwen3_window": ("qwen3", dict(SHAPE, head_dim=6, use_sliding_window=True, sliding_window=7, max_window_layers=1,
                                   attention_bias=True)),
    "smollm3": ("smollm3", dict(SHAPE, num_hidden_layers=3, no_rope_layer_interval=2)),
    "smollm3_window": ("smollm3", dict(SHAPE, use_sliding_window=True, sliding_window=7, no_rope_layer_interval=2)),
    "phi3": ("phi3", dict(SHAPE)),
    "phi3_window": ("phi3", dict(SHAPE, sliding_window=7)),
    # 24 tokens are beyond the original context, the 18 of generation are not.
    "phi3_longrope": ("phi3", dict(
        SHAPE, hidden_size=32, num_attention_heads=2, num_key_value_heads=1, original_max_position_embeddings=20,
        tie_word_embeddings=True,
        rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
                             short_factor=LONG[:6], long_factor=[3 * f for f in LONG[:6]]))),
    "gemma": ("gemma", dict(SHAPE, head_dim=6)),
    "gemma2": ("gemma2", dict(GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=3.0)),
    "gemma3": ("gemma3_text", dict(GEMMA, query_pre_attn_scalar=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                   rope_parameters=dict(
                                       full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
                                       sliding_attention=dict(rope_type="default", rope_theta=1e4)))),
    "olmo2": ("olmo2", dict(SHAPE)),
    "granite": ("granite", dict(SHAPE, embedding_multiplier=12.0, attention_multiplier=0.3, residual_multiplier=0.22,
                                logits_scaling=1.7, tie_word_embeddings=True, attention_bias=True, mlp_bias=True)),
}


def random_model(auto, config):
    model = auto.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # larger than initial values, so that every part counts
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def logits_of(model, ids):
    with torch.no_grad():
        return model(ids, use_cache=False).logits


def add_adapter(model):
    """A LoRA adapter on every projection, A and B random."""
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, lora_alpha=3, target_modules="all-linear",
                                                         task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    return wrapped


def write_family(name, model_type, options):
    torch.manual_seed(len(name))
    config = AutoConfig.for_model(model_type, **options)
    model = random_model(AutoModelForCausalLM, config)
    directory = GOLDEN / name
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    ids = torch.randint(3, config.vocab_size, (2, 24))
    expected = {"input_ids": ids, "logits": logits_of(model, ids), "logits_short": logits_of(model, ids[:, :9])}
    expected["greedy"] = model.generate(ids[:1, :6], max_new_tokens=12, do_sample=False, eos_token_id=None,
                                        pad_token_id=0)[0, 6:]
    half = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
    expected["logits_bfloat16"] = logits_of(half, ids)

    adapted = add_adapter(model)
    adapted.train()
    output = adapted(input_ids=ids, labels=ids, use_cache=False)
    output.loss.backward()
    expected["loss"] = output.loss.detach().reshape(1)
    for path, parameter in adapted.named_parameters():
        if "lora_" in path:
            short = path.removeprefix("base_model.model.").replace(".default", "")
            expected["adapter." + short] = parameter.detach().clone()
            expected["gradient." + short] = parameter.grad.clone()
    save_file({key: value.contiguous() for key, value in expected.items()}, directory / "expected.safetensors")


def write_classifier(name, model_type, options):
    torch.manual_seed(len(name))
    config = AutoConfig.for_model(model_type, **options, id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})
    model = random_model(AutoModelForSequenceClassification, config)
    directory = GOLDEN / name
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory)
    ids = torch.randint(3, config.vocab_size, (2, 24))
    save_file({"input_ids": ids, "logits": logits_of(model, ids)}, directory / "expected.safetensors")


def main():
    transformers.logging.set_verbosity_error()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    for name, (model_type, options) in FAMILIES.items():
        if name in wanted or not wanted:
            write_family(name, model_type, options)
    for name in ["gemma2", "gemma3", "qwen3"]:
        if name in wanted or not wanted:
            write_classifier(name + "_classifier", *FAMILIES[name])


if __name__ == "__main__":
    main()
