"""What is run: two tasks, and on each of them the same experiments, as overrides of one recipe."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass

SEEDS = (1, 2, 3)
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
RANKS = (4, 8, 16, 32, 64)
TARGETS = {
    "q, v": ["q_proj", "v_proj"],
    "q, k, v, o": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "all-linear": "all-linear",
}
# Of equal rank and so of about equal size (AdaLoRA's is what its schedule leaves of twice that).
METHODS = {
    "LoRA": {"adapter.method": "lora"},
    "rsLoRA": {"adapter.method": "rslora"},
    "LoRA+": {"adapter.method": "lora", "training.loraplus_lr_ratio": 16},
    "PiSSA": {"adapter.method": "lora", "adapter.init": "pissa"},
    "OLoRA": {"adapter.method": "lora", "adapter.init": "olora"},
    "DoRA": {"adapter.method": "dora"},
    "LoRA-FA": {"adapter.method": "lora_fa"},
    "AdaLoRA": {"adapter.method": "adalora"},
    "full": {"adapter.method": "full"},
}
BASES = ("none", "int8", "nf4")
RANK = 16


@dataclass(frozen=True)
class Task:
    """A recipe, what is said of it, and how many steps it is given here."""

    key: str
    title: str
    about: str
    recipe: pathlib.Path
    overrides: dict
    steps: int
    largest_rank: int  # min(in, out) of the narrowest projection


@dataclass(frozen=True)
class Run:
    """One training run of a task."""

    task: str
    overrides: tuple[tuple[str, str], ...]
    seed: int

    @property
    def key(self) -> str:
        return f"{self.task} seed={self.seed} " + " ".join(f"{k}={v}" for k, v in self.overrides)


def overrides_of(values: dict) -> tuple[tuple[str, str], ...]:
    """YAML of one line each, as the command line takes it."""
    return tuple(sorted((key, value if isinstance(value, str) else json.dumps(value)) for key, value in values.items()))


def rates_of(method: str) -> tuple[float, ...]:
    """LoRA and full fine-tuning are compared over all rates, the others where LoRA's kin learn best."""
    return RATES if method in ("LoRA", "full") else RATES[2:5]


def runs_of(task: Task, values: dict) -> list[Run]:
    return [Run(task.key, overrides_of(values), seed) for seed in SEEDS]


def low_rank(rank: int) -> dict:
    return {"adapter.rank": rank, "adapter.alpha": 2 * rank}


def of_method(name: str, rate: float, steps: int) -> dict:
    values = {**METHODS[name], "training.learning_rate": rate}
    if name == "full":
        return {**values, "adapter.target_modules": []}
    values |= {"adapter.target_modules": "all-linear", **low_rank(RANK)}
    if name == "AdaLoRA":
        values |= low_rank(2 * RANK)  # α / r stays
        values["adapter.adalora"] = {"target_r": RANK, "tinit": steps // 10, "tfinal": steps // 3, "delta_t": 1}
    return values


def of_rank(rank: int, rate: float) -> dict:
    return {"adapter.method": "lora", "adapter.target_modules": "all-linear", "training.learning_rate": rate,
            **low_rank(rank)}


def of_targets(name: str, rate: float) -> dict:
    return {"adapter.method": "lora", "adapter.target_modules": TARGETS[name], "training.learning_rate": rate,
            **low_rank(RANK)}


def of_base(quantization: str, rate: float) -> dict:
    return {**of_rank(RANK, rate), "model.dtype": "bfloat16", "model.quantization": quantization}


# Peak memory is measured apart, at a shape where weights count for something.
MEMORY = {
    "full": {"adapter.method": "full", "adapter.target_modules": []},
    "LoRA": {"adapter.method": "lora"},
    "DoRA": {"adapter.method": "dora"},
    "LoRA-FA": {"adapter.method": "lora_fa"},
    "LoRA on int8": {"adapter.method": "lora", "model.quantization": "int8"},
    "LoRA on NF4": {"adapter.method": "lora", "model.quantization": "nf4"},
    "LoRA, plain autograd": {"adapter.method": "lora", "training.fused": False},
    "LoRA-FA, plain autograd": {"adapter.method": "lora_fa", "training.fused": False},
}
MEMORY_SHAPE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
    "tie_word_embeddings": True, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "initializer_range": 0.02,
}

