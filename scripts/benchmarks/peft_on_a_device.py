#!/usr/bin/env python3
"""The speed of PEFT on a device, for scripts/check_gpu: LoRA on all projections of a model with random weights.

  peft_on_a_device.py MODEL DEVICE none|nf4 ROWS LENGTH RANK SECONDS

MODEL: a directory with a config.json. A step has ROWS rows of LENGTH tokens, all trained, in bfloat16. Attention is
flash attention 2 where the package is there, else PyTorch's own. Passes of two rows and of all of them, each with and
without checkpointed activations, plain and compiled, are tried for five steps; the last three count. After SECONDS no
other is begun. Prints a JSON object of the fastest: {"tokens_per_second", "gigabytes", "setting", "untried"}.
"""

import importlib.util
import itertools
import json
import statistics
import sys
import time

import peft
import torch
import transformers

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def quantize(model, device):
    """The layers' projections in NF4, as bitsandbytes has them."""
    import bitsandbytes

    for name, module in list(model.model.layers.named_modules()):
        if isinstance(module, torch.nn.Linear):
            parent, _, own = name.rpartition(".")
            packed = bitsandbytes.nn.Linear4bit(module.in_features, module.out_features, bias=module.bias is not None,
                                                compute_dtype=torch.bfloat16, quant_type="nf4")
            packed.weight = bitsandbytes.nn.Params4bit(module.weight.data.cpu(), requires_grad=False, quant_type="nf4")
            packed.bias = module.bias
            setattr(model.model.layers.get_submodule(parent), own, packed.to(device))


def make_model(directory, device, quantization, rank):
    config = transformers.AutoConfig.from_pretrained(directory)
    flash = device.startswith("cuda") and importlib.util.find_spec("flash_attn")
    with torch.device(device):
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation="flash_attention_2" if flash else "sdpa")
    if quantization == "nf4":
        quantize(model, device)
    model.config.use_cache = False
    return peft.get_peft_model(model, peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS)), flash


def seconds_of_steps(model, optimizer, ids, micro_batch, device):
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        for part in ids.split(micro_batch):
            (model(input_ids=part, labels=part).loss * len(part) / len(ids)).backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return times[2:]


def main():
    directory, device, quantization = sys.argv[1:4]
    rows, length, rank, seconds = map(int, sys.argv[4:8])
    begin, untried = time.monotonic(), 0
    model, flash = make_model(directory, device, quantization, rank)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=device.startswith("cuda"))
    ids = torch.randint(0, model.config.vocab_size, (rows, length), device=device)
    best = None
    for compiled, checkpointed, micro_batch in itertools.product((False, True), (True, False), sorted({min(2, rows), rows})):
        if best is not None and time.monotonic() - begin > seconds:
            untried += 1
            continue
        if checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        else:
            model.gradient_checkpointing_disable()
        model.enable_input_require_grads()
        torch._dynamo.reset()
        setting = (f"{'flash attention 2' if flash else 'sdpa'}, {'compiled' if compiled else 'plain'}, "
                   f"{'checkpointed, ' if checkpointed else ''}{micro_batch} rows a pass")
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(device)
        try:
            times = seconds_of_steps(torch.compile(model) if compiled else model, optimizer, ids, micro_batch, device)
        except (RuntimeError, torch.OutOfMemoryError, torch._dynamo.exc.TorchDynamoException) as error:
            print(f"{setting}: {str(error).splitlines()[0]}", file=sys.stderr)
            optimizer.zero_grad(set_to_none=True)
            continue
        memory = torch.cuda.max_memory_allocated(device) / 1e9 if device.startswith("cuda") else None
        found = {"tokens_per_second": rows * length / statistics.median(times), "gigabytes": memory, "setting": setting}
        print(json.dumps(found), file=sys.stderr)
        if best is None or found["tokens_per_second"] > best["tokens_per_second"]:
            best = found
    if best is None:
        sys.exit("peft_on_a_device: no setting could be run")
    print(json.dumps(best | {"untried": untried}))


main()
