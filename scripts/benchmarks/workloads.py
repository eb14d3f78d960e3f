"""What is measured: model shapes, workloads, and the configurations of each program."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

RATE = 2e-4
CLIP = 1.0


@dataclass(frozen=True)
class Shape:
    """A llama's shape; `tied`: the head is the embedding."""

    name: str
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """(out, in) of the seven linear layers of a block, under Hugging Face's names."""
        h, f, kv = self.hidden, self.ffn, self.kv_heads * self.head_dim
        return {
            "self_attn.q_proj": (h, h), "self_attn.k_proj": (kv, h), "self_attn.v_proj": (kv, h),
            "self_attn.o_proj": (h, h), "mlp.gate_proj": (f, h), "mlp.up_proj": (f, h), "mlp.down_proj": (h, f),
        }

    @property
    def linear_parameters(self) -> int:
        return self.layers * sum(out * into for out, into in self.projections.values())

    @property
    def head_parameters(self) -> int:
        return self.vocab * self.hidden

    def adapter_parameters(self, rank: int) -> int:
        return self.layers * sum(rank * (out + into) for out, into in self.projections.values())


@dataclass(frozen=True)
class Configuration:
    """One way to run a workload; `micro_batch` None leaves it to the program."""

    engine: str  # lora-train | peft | transformers | torchtune
    dtype: str = "bfloat16"  # of the frozen weights; of the computation where all weights are trained
    micro_batch: int | None = None
    fused: bool = True  # lora-train: its own kernels, or plain LibTorch
    memory_limit: str | None = None  # lora-train: its training.memory_limit
    compiled: bool = False  # torch.compile
    checkpointed: bool = False  # activations computed again in the backward pass
    written_out: bool = False  # attention as matmul, softmax, matmul; otherwise scaled_dot_product_attention
    trained_head: bool = False  # logits of trained tokens only
    half_trained: bool = False  # trained weights in bfloat16, not float32
    quick: bool = False  # part of --quick

    @property
    def is_default(self) -> bool:
        """lora-train as it comes."""
        return self.engine == "lora-train" and self.fused and not self.memory_limit

    @property
    def name(self) -> str:
        """As tables and plots print it."""
        if self.engine == "lora-train":
            words = [] if self.fused else ["plain LibTorch"]
            rows = f", {self.micro_batch} rows" if self.micro_batch else ""
            limit = f", within {self.memory_limit}" if self.memory_limit else ""
            return " ".join(["lora-train", *words]) + rows + limit
        words = [{"peft": "PEFT"}.get(self.engine, self.engine)]
        words.append("compiled" if self.compiled else "checkpointed" if self.checkpointed else "eager")
        options = [f"{self.micro_batch} row{'s' if self.micro_batch != 1 else ''}"]
        if self.half_trained:
            options.append("all bf16" if self.engine == "transformers" else "bf16 adapters")
        if self.written_out:
            options.append("written-out attention")
        if self.trained_head:
            options.append("trained tokens' logits")
        return ", ".join([" ".join(words), *options])


@dataclass(frozen=True)
class Workload:
    """Rows of tokens, a model and how it is trained; `data`: packed gsm8k samples, or one long sample a row."""

    key: str
    group: str  # what --only names
    title: str
    shape: Shape
    row_length: int
    rows_a_step: int
    configurations: tuple[Configuration, ...]
    method: str = "lora"  # lora | full
    data: str = "packed"  # packed | long
    rank: int = 16
    same_start: bool = True  # every side starts from one adapter, and losses are compared

    @property
    def alpha(self) -> int:
        return 2 * self.rank


SMOLLM = Shape("smollm2-135m", 576, 1536, 30, 9, 3, 49152, True)
TINYLLAMA = Shape("tinyllama-1.1b", 2048, 5632, 22, 32, 4, 32000, False)
TOY = Shape("toy", 64, 160, 2, 4, 2, 8192, True)
TOY_UNTIED = dataclasses.replace(TOY, name="toy-untied", tied=False)

GROUPS = ("w1", "w2", "w3", "w4", "growth")
LENGTHS = (256, 512, 1024, 2048, 4096)
RANKS = (4, 8, 16, 32, 64, 128)


def ours(dtype: str = "bfloat16", limit: str | None = None) -> tuple[Configuration, ...]:
    limited = (Configuration("lora-train", dtype, memory_limit=limit, quick=True),) if limit else ()
    return (Configuration("lora-train", dtype, quick=dtype == "bfloat16"), *limited,
            Configuration("lora-train", dtype, fused=False))


def peft(micro_batches: tuple[int, ...], quick_compiled: int, **options) -> list[Configuration]:
    """Eager, compiled and checkpointed at each micro-batch."""
    return [
        Configuration("peft", micro_batch=rows, compiled=way == "compiled", checkpointed=way == "checkpointed",
                      quick=(way, rows) in (("compiled", quick_compiled), ("checkpointed", 1)), **options)
        for way in ("eager", "compiled", "checkpointed") for rows in micro_batches
    ]


def w1_configurations() -> tuple[Configuration, ...]:
    return (
        *ours(limit="700MB"),
        *peft((1, 2, 8), quick_compiled=2),
        Configuration("peft", micro_batch=2, half_trained=True),
        Configuration("peft", micro_batch=2, compiled=True, half_trained=True),
        Configuration("peft", micro_batch=2, compiled=True, half_trained=True, written_out=True),
        Configuration("peft", micro_batch=1, compiled=True, half_trained=True, trained_head=True),
        Configuration("peft", micro_batch=1, half_trained=True, trained_head=True),
        Configuration("peft", micro_batch=1, checkpointed=True, half_trained=True, trained_head=True),
        Configuration("torchtune", micro_batch=2),
        Configuration("torchtune", micro_batch=2, compiled=True),
        Configuration("torchtune", micro_batch=1, checkpointed=True),
        *ours("float32"),
        Configuration("peft", "float32", 2),
        Configuration("peft", "float32", 2, compiled=True),
        Configuration("peft", "float32", 1, checkpointed=True),
    )


def w2_configurations() -> tuple[Configuration, ...]:
    return (
        *ours(limit="1.5GB"),
        *peft((1, 4), quick_compiled=1),
        Configuration("peft", micro_batch=1, compiled=True, half_trained=True),
        Configuration("peft", micro_batch=1, half_trained=True, trained_head=True),
        Configuration("torchtune", micro_batch=1),
        Configuration("torchtune", micro_batch=1, compiled=True),
    )


def w3_configurations() -> tuple[Configuration, ...]:
    return (
        *ours(),
        Configuration("transformers", micro_batch=2),
        Configuration("transformers", micro_batch=8),
        Configuration("transformers", micro_batch=2, compiled=True, quick=True),
        Configuration("transformers", micro_batch=1, checkpointed=True, quick=True),
        Configuration("transformers", micro_batch=2, half_trained=True),
        Configuration("transformers", micro_batch=2, compiled=True, half_trained=True),
        Configuration("transformers", micro_batch=1, checkpointed=True, half_trained=True),
    )


def w4_configurations() -> tuple[Configuration, ...]:
    return (
        *ours(),
        *peft((1, 2), quick_compiled=1),
        Configuration("peft", micro_batch=1, compiled=True, half_trained=True),
        Configuration("peft", micro_batch=1, compiled=True, half_trained=True, written_out=True),
    )


def workloads(toy: bool) -> list[Workload]:
    """All workloads; `toy` keeps their make-up and shrinks the models and rows, to try the script."""
    small, large = (TOY, TOY_UNTIED) if toy else (SMOLLM, TINYLLAMA)
    long, scale = (512, 8) if toy else (2048, 1)
    a_step = 8 * 512 // scale
    growing = (Configuration("lora-train", quick=True),)
    return [
        Workload("w1", "w1", "LoRA, 135M parameters, rows of packed samples", small, 512, 8, w1_configurations()),
        Workload("w2", "w2", "LoRA, 1.1B parameters, rows of packed samples", large, 512, 4, w2_configurations()),
        Workload("w3", "w3", "Full fine-tuning, 135M parameters, rows of packed samples", small, 512, 8,
                 w3_configurations(), method="full", same_start=True),
        Workload("w4", "w4", "LoRA, 135M parameters, one long sample a row", small, long, 2, w4_configurations(),
                 data="long"),
        *(Workload(f"growth-length-{length // scale}", "growth", f"rows of {length // scale} tokens", small,
                   length // scale, max(1, a_step * scale // length), growing, data="long", same_start=False)
          for length in LENGTHS),
        *(Workload(f"growth-rank-{rank}", "growth", f"rank {rank}", small, 512, 8, growing, rank=max(1, rank // scale),
                   same_start=False) for rank in RANKS),
    ]
