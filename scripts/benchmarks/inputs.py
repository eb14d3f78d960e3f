"""What both sides are given: a tokenizer, a model directory, a PEFT adapter and the rows. Made once, in the work
directory, in a process of its own: the measuring one stays small, because Linux hands its peak memory on to children.

    python -m benchmarks.inputs JOB.json ANSWER.json
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

from benchmarks import rows
from benchmarks.workloads import Shape, Workload, workloads

# B is not zero at the start, so that the first step's loss already depends on the adapters.
ADAPTER_STD = 0.01


def make_tokenizer(directory: pathlib.Path, gsm8k: pathlib.Path) -> pathlib.Path:
    """A SentencePiece BPE of 8,000 pieces, trained on gsm8k's own text."""
    import sentencepiece

    path = directory / "tokenizer.model"
    if not path.exists():
        text = directory / "text.txt"
        lines = [json.loads(line) for line in gsm8k.read_text().splitlines()]
        text.write_text("".join(f"{row['question']}\n{row['answer']}\n" for row in lines))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(directory / "unfinished"), vocab_size=8000, model_type="bpe",
            byte_fallback=True, character_coverage=1.0, minloglevel=2)
        os.replace(directory / "unfinished.model", path)
    return path


def make_model(directory: pathlib.Path, shape: Shape, dtype: str, tokenizer: pathlib.Path) -> pathlib.Path:
    """A Hugging Face directory with weights ~ N(0, 0.02)."""
    import torch
    from safetensors.torch import save_file

    path = directory / f"model-{shape.name}-{dtype}"
    if (path / "model.safetensors").exists():
        return path
    path.mkdir(parents=True, exist_ok=True)
    config = dict(
        model_type="llama", architectures=["LlamaForCausalLM"], vocab_size=shape.vocab, hidden_size=shape.hidden,
        intermediate_size=shape.ffn, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads, head_dim=shape.head_dim, tie_word_embeddings=shape.tied,
        max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=10000.0, hidden_act="silu",
        initializer_range=0.02, torch_dtype=dtype, bos_token_id=1, eos_token_id=2)
    (path / "config.json").write_text(json.dumps(config, indent=2))
    (path / "tokenizer.model").write_bytes(tokenizer.read_bytes())

    kind = getattr(torch, dtype)
    torch.manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size).mul_(0.02).to(kind)

    tensors = {"model.embed_tokens.weight": normal(shape.vocab, shape.hidden),
               "model.norm.weight": torch.ones(shape.hidden, dtype=kind)}
    if not shape.tied:
        tensors["lm_head.weight"] = normal(shape.vocab, shape.hidden)
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        for name, size in shape.projections.items():
            tensors[f"{prefix}{name}.weight"] = normal(*size)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = torch.ones(shape.hidden, dtype=kind)
    save_file(tensors, path / "unfinished", metadata={"format": "pt"})
    os.replace(path / "unfinished", path / "model.safetensors")
    return path


def make_adapter(directory: pathlib.Path, model: pathlib.Path, workload: Workload) -> pathlib.Path:
    """A PEFT adapter on all seven projections, written by PEFT."""
    import peft
    import torch
    import transformers

    path = directory / f"adapter-{workload.shape.name}-{workload.rank}"
    if (path / "adapter_model.safetensors").exists():
        return path
    torch.manual_seed(1)
    base = transformers.LlamaForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=workload.rank, lora_alpha=workload.alpha,
                                                        target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=ADAPTER_STD)
    adapted.save_pretrained(path)
    return path


def make_long_samples(directory: pathlib.Path, gsm8k: pathlib.Path, tokenizer: pathlib.Path, length: int,
                      count: int) -> pathlib.Path:
    """gsm8k's texts joined and cut, at words, into samples that just fit a row, which then holds one; the last 45 % of
    each are its answer, about as large a share as packed rows have."""
    import sentencepiece

    path = directory / f"long-{length}.jsonl"
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    words = (word for line in gsm8k.read_text().splitlines() for text in json.loads(line).values()
             for word in text.split())

    def text_of(tokens: float) -> str:
        taken: list[str] = []
        while tokens > 0:
            taken.append(next(words))
            tokens -= len(pieces.encode(taken[-1]))
        return " ".join(taken)

    room = length - min(24, length // 4)  # a text may be longer by less than a word; BOS and EOS
    samples = [{"question": text_of(0.55 * room) + " ", "answer": text_of(0.45 * room)} for _ in range(count)]
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return path


def prepare(job: dict) -> dict:
    """Everything a workload needs, as paths and counts."""
    workload = next(w for w in workloads(job["toy"]) if w.key == job["workload"])
    directory, gsm8k = pathlib.Path(job["directory"]), pathlib.Path(job["data"]) / "gsm8k" / "train.jsonl"
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(directory, gsm8k)
    models = {dtype: str(make_model(directory, workload.shape, dtype, tokenizer)) for dtype in job["dtypes"]}
    adapter = None
    if workload.method == "lora" and workload.same_start:
        adapter = str(make_adapter(directory, pathlib.Path(next(iter(models.values()))), workload))
    data = gsm8k
    if workload.data == "long":
        data = make_long_samples(directory, gsm8k, tokenizer, workload.row_length,
                                 workload.rows_a_step * job["steps"])
    steps = rows.steps_of(tokenizer, data, workload.row_length, workload.rows_a_step, job["steps"])
    path = directory / f"rows-{workload.key}.json"
    rows.write_steps(path, steps)
    return {"models": models, "adapter": adapter, "data": str(data), "rows": str(path), "counts": rows.counts(steps)}


if __name__ == "__main__":
    pathlib.Path(sys.argv[2]).write_text(json.dumps(prepare(json.loads(pathlib.Path(sys.argv[1]).read_text()))))
