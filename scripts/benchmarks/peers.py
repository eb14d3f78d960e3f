"""One configuration of a peer, in a process of its own: trains the given rows and answers with each step's seconds,
loss and gradient norm, and with the peak of its memory.

    python -m benchmarks.peers JOB.json ANSWER.json

Rows are padded to their full length so that shapes are static; padding is trained on by nobody and counted by nobody.
Each sample sees itself alone: positions start again with it, and an additive mask of zeros and minus infinity says
the rest. What the batches hold is made before the clock starts.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import resource
import sys
import time
import warnings
from typing import Callable

import torch

from benchmarks import rows
from benchmarks.workloads import CLIP, RATE, Configuration, Shape

IGNORED = -100
Batch = dict[str, torch.Tensor]
LossOf = Callable[[Batch], torch.Tensor]  # the sum over a micro-batch's trained tokens, over the step's count of them


def make_batch(micro_batch: list[list[rows.Sample]], length: int, supervised: int, head_room: int) -> Batch:
    """ids, positions, targets and `allowed`, where a token may look; `kept`: the places whose logits are trained, of
    a single row, filled up to head_room with a place that is not."""
    count = len(micro_batch)
    ids = torch.zeros(count, length, dtype=torch.long)
    positions = torch.zeros(count, length, dtype=torch.long)
    targets = torch.full((count, length), IGNORED)
    # Padding looks at itself: a softmax over nothing is not a number.
    allowed = torch.eye(length, dtype=torch.bool).repeat(count, 1, 1)
    for row, samples in enumerate(micro_batch):
        begin = 0
        for sample in samples:
            end = begin + len(sample.ids)
            ids[row, begin:end] = torch.tensor(sample.ids)
            positions[row, begin:end] = torch.arange(end - begin)
            wanted = torch.tensor([i if s else IGNORED for i, s in zip(sample.ids, sample.supervised)])
            targets[row, begin:end - 1] = wanted[1:]
            allowed[row, begin:end, begin:end] = torch.ones(end - begin, end - begin, dtype=torch.bool).tril()
            begin = end
    batch = {"ids": ids, "positions": positions, "targets": targets, "allowed": allowed,
             "supervised": torch.tensor(float(supervised))}
    if head_room:
        kept = (targets[0] != IGNORED).nonzero()[:, 0]
        batch["kept"] = torch.cat([kept, torch.full((head_room - len(kept),), length - 1)])
        batch["kept_targets"] = torch.full((head_room,), IGNORED)
        batch["kept_targets"][:len(kept)] = targets[0, kept]
    return batch


def make_batches(job: dict, configuration: Configuration) -> list[list[Batch]]:
    """Steps of micro-batches."""
    steps = rows.read_steps(pathlib.Path(job["rows"]))[:job["steps"]]
    size = configuration.micro_batch
    head_room = 0
    if configuration.trained_head:
        assert size == 1, "one row has one set of trained places"
        most = max(sum(sum(sample.supervised) for sample in row) for step in steps for row in step)
        head_room = min(job["row_length"], (most + 31) // 32 * 32)
    batches = []
    for step in steps:
        supervised = sum(sum(sample.supervised) for row in step for sample in row)
        batches.append([make_batch(step[i:i + size], job["row_length"], supervised, head_room)
                        for i in range(0, len(step), size)])
    return batches


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits.flatten(0, -2).float(), targets.flatten(), ignore_index=IGNORED,
                                             reduction="sum")


def with_transformers(job: dict, configuration: Configuration,
                      batches: list[list[Batch]]) -> tuple[torch.nn.Module, LossOf]:
    """transformers, adapted by PEFT or trained whole."""
    import transformers

    transformers.logging.set_verbosity_error()
    computed = getattr(torch, configuration.dtype)
    whole = configuration.engine == "transformers"
    held = torch.float32 if whole and not configuration.half_trained else computed
    model = transformers.LlamaForCausalLM.from_pretrained(
        job["model"], dtype=held, attn_implementation="eager" if configuration.written_out else "sdpa")
    model.config.use_cache = False
    autocast = held != computed
    if not whole:
        import peft

        model = peft.PeftModel.from_pretrained(model, job["adapter"], is_trainable=True,
                                               autocast_adapter_dtype=not configuration.half_trained)
        kinds = {p.dtype for p in model.parameters() if p.requires_grad}
        assert kinds == {computed if configuration.half_trained else torch.float32}, kinds
    if configuration.checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for step in batches:
        for batch in step:
            mask = torch.zeros(batch["allowed"].shape, dtype=computed)
            batch["mask"] = mask.masked_fill_(~batch.pop("allowed"), torch.finfo(computed).min)[:, None]

    def loss_of(batch: Batch) -> torch.Tensor:
        context = torch.autocast("cpu", computed) if autocast else contextlib.nullcontext()
        with context:
            kept = {"logits_to_keep": batch["kept"]} if "kept" in batch else {}
            logits = model(input_ids=batch["ids"], position_ids=batch["positions"], attention_mask=batch["mask"],
                           **kept).logits
        targets = batch["kept_targets"] if kept else batch["targets"]
        return cross_entropy(logits, targets) / batch["supervised"]

    if configuration.compiled:
        return model, torch.compile(loss_of, dynamic=False)
    return model, loss_of


def with_torchtune(job: dict, configuration: Configuration,
                   batches: list[list[Batch]]) -> tuple[torch.nn.Module, LossOf]:
    """torchtune's LoRA model with its chunked loss, checkpointed and compiled a block at a time, as its recipes do.
    They do so by torchtune.training, which does not import beside a torchao that PEFT accepts."""
    from safetensors.torch import load_file
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing
    from torchtune.models.convert_weights import hf_to_tune
    from torchtune.models.llama3_2 import lora_llama3_2
    from torchtune.modules import TransformerSelfAttentionLayer
    from torchtune.modules.loss import CEWithChunkedOutputLoss
    from torchtune.modules.peft import get_adapter_params, set_trainable_params

    shape = Shape(**job["shape"])
    torch.set_default_dtype(getattr(torch, configuration.dtype))
    model = lora_llama3_2(
        ["q_proj", "k_proj", "v_proj", "output_proj"], apply_lora_to_mlp=True, vocab_size=shape.vocab,
        num_layers=shape.layers, num_heads=shape.heads, num_kv_heads=shape.kv_heads, embed_dim=shape.hidden,
        max_seq_len=job["row_length"], intermediate_dim=shape.ffn, norm_eps=1e-5, rope_base=10000, scale_factor=1,
        lora_rank=job["rank"], lora_alpha=job["alpha"], tie_word_embeddings=shape.tied)
    torch.set_default_dtype(torch.float32)
    state = hf_to_tune(load_file(pathlib.Path(job["model"]) / "model.safetensors"), num_heads=shape.heads,
                       num_kv_heads=shape.kv_heads, dim=shape.hidden, head_dim=shape.head_dim)
    state.update(torchtune_adapter(load_file(pathlib.Path(job["adapter"]) / "adapter_model.safetensors"), shape))
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    del state
    set_trainable_params(model, get_adapter_params(model))
    loss = CEWithChunkedOutputLoss()
    model.set_num_output_chunks(loss.num_output_chunks)
    if configuration.checkpointed:
        apply_activation_checkpointing(model, check_fn=lambda m: isinstance(m, TransformerSelfAttentionLayer))
    if configuration.compiled:
        for module in model.modules():
            if isinstance(module, TransformerSelfAttentionLayer):
                module.compile()
        loss.compute_cross_entropy = torch.compile(loss.compute_cross_entropy)

    def loss_of(batch: Batch) -> torch.Tensor:
        logits = model(batch["ids"], mask=batch["allowed"], input_pos=batch["positions"])
        trained = (batch["targets"] != IGNORED).sum()
        return loss(logits, batch["targets"]) * trained / batch["supervised"]

    return model, loss_of


def torchtune_adapter(tensors: dict[str, torch.Tensor], shape: Shape) -> dict[str, torch.Tensor]:
    """PEFT's adapter under torchtune's names. Its rotary embedding turns neighbours, Hugging Face's turns halves: the
    rows of B of q and k change places as the weights' do."""
    names = {"self_attn.q_proj": "attn.q_proj", "self_attn.k_proj": "attn.k_proj", "self_attn.v_proj": "attn.v_proj",
             "self_attn.o_proj": "attn.output_proj", "mlp.gate_proj": "mlp.w1", "mlp.down_proj": "mlp.w2",
             "mlp.up_proj": "mlp.w3", "lora_A": "lora_a", "lora_B": "lora_b"}
    heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}
    adapter = {}
    for name, tensor in tensors.items():
        projection = name.split(".")[-3]
        if "lora_B" in name and projection in heads:
            parts = tensor.view(heads[projection], 2, shape.head_dim // 2, -1)
            tensor = parts.transpose(1, 2).reshape(tensor.shape)
        name = name.removeprefix("base_model.model.model.")
        for old, new in names.items():
            name = name.replace(old, new)
        adapter[name] = tensor
    return adapter


def gradient_norm(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    """The norm of all gradients, a piece at a time: torch's norm of one large float32 tensor (and with it
    clip_grad_norm_) adds small squares to a large sum and is too low, by 1e-03 at 5M elements and 2e-02 at 134M."""
    pieces = [piece for parameter in parameters for piece in parameter.grad.flatten().split(1 << 16)]
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p, dtype=torch.float32) for p in pieces]))


def train(job: dict) -> dict:
    """Runs the steps; AdamW and clipping as lora-train has them."""
    configuration = Configuration(**job["configuration"])
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    batches = make_batches(job, configuration)
    build = with_torchtune if configuration.engine == "torchtune" else with_transformers
    model, loss_of = build(job, configuration, batches)
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, fused=True)
    steps = []
    for step in batches:
        begin = time.perf_counter()
        total = 0.0
        for batch in step:
            loss = loss_of(batch)
            loss.backward()
            total += loss.item()
        norm = gradient_norm(parameters)
        torch.nn.utils.clip_grads_with_norm_(parameters, CLIP, norm)
        optimizer.step()
        optimizer.zero_grad()
        steps.append({"seconds": time.perf_counter() - begin, "loss": total, "grad_norm": norm.item()})
        print(f"step {len(steps)}: loss {total:.6f}, gradient {norm.item():.5f}", flush=True)
    return {"steps": steps, "trained_parameters": sum(p.numel() for p in parameters),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    answer = train(json.loads(pathlib.Path(sys.argv[1]).read_text()))
    pathlib.Path(sys.argv[2]).write_text(json.dumps(answer))
