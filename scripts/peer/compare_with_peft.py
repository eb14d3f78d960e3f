#!/usr/bin/env python3
"""lora-train beside transformers + PEFT on a real model and real rows, both ways:

  1. logits of the base model agree within 1e-5 (float32);
  2. both start from the same PEFT adapter (init_from), see the same rows in the same order for 30 steps, and their
     losses agree within 1e-4 at every step;
  3. PeftModel.from_pretrained loads the adapter that lora-train wrote, without a warning, and computes the same logits;
     merged by PEFT it gives those of lora-train's merged directory within 1e-5.

    scripts/peer/compare_with_peft.py --lora-train build/lora-train --data ../shared/data

Needs torch, transformers, peft and sentencepiece==0.2.1. The tokenisation and the masks are made here again, from the recipe's
definition, and not taken from lora-train.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import peft
import sentencepiece
import torch
import transformers

STEPS, ROWS, MAX_LENGTH, RATE = 30, 4, 384, 1e-3

RECIPE = """
model: {{path: {model}, dtype: float32}}
adapter:
  method: lora
  rank: 8
  alpha: 16
  target_modules: all-linear
  init_from: {adapter}
data:
  train: [{{path: {rows}, format: alpaca}}]
  shuffle: false
training:
  max_steps: {steps}
  batch_size: {batch}
  max_length: {length}
  packing: false
  learning_rate: {rate}
  lr_schedule: constant
  warmup_steps: 0
output_dir: {output}
export: [peft, torchscript, huggingface]
"""


def alpaca(row):
    if row["input"]:
        head = ("Below is an instruction that describes a task, paired with an input that provides further context. "
                "Write a response that appropriately completes the request.")
        return f"{head}\n\n### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:\n"
    head = ("Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request.")
    return f"{head}\n\n### Instruction:\n{row['instruction']}\n\n### Response:\n"


def encode(tokenizer, row):
    """ids and labels: one BOS, EOS trained, tokens that begin inside the prompt masked."""
    prompt, answer = alpaca(row), row["output"]
    pieces = tokenizer.encode(prompt + answer, out_type="immutable_proto").pieces
    ids, labels = [tokenizer.bos_id()], [-100]
    for piece in pieces:
        ids.append(piece.id)
        labels.append(piece.id if piece.begin >= len(prompt) else -100)
    if len(ids) < MAX_LENGTH:
        return ids + [tokenizer.eos_id()], labels + [tokenizer.eos_id()]
    return ids[:MAX_LENGTH], labels[:MAX_LENGTH]


def reference_losses(model, samples):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        batch = samples[step * ROWS:(step + 1) * ROWS]
        count = sum(sum(label != -100 for label in labels[1:]) for _, labels in batch)
        total = 0.0
        for ids, labels in batch:
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[1:]), ignore_index=-100,
                                                     reduction="sum") / count
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lora-train", default="build/lora-train")
    arguments.add_argument("--data", default="../shared/data")
    options = arguments.parse_args()
    data = pathlib.Path(options.data).resolve()
    if not data.exists():
        print(f"skipped: this comparison needs {data}")
        return 77
    transformers.logging.set_verbosity_error()
    failures = []

    def report(what, difference, bound):
        good = difference <= bound
        print(f"{'ok  ' if good else 'FAIL'} {what}: {difference:.2e} (bound {bound:.0e})")
        if not good:
            failures.append(what)

    model_directory = data / "stories260k"
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model_directory / "tokenizer.model"))
    rows = json.loads((data / "instruction" / "instruction-data.json").read_text())[:STEPS * ROWS]
    samples = [encode(tokenizer, row) for row in rows]
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        (work / "rows.json").write_text(json.dumps(rows))
        torch.manual_seed(11)
        base = transformers.LlamaForCausalLM.from_pretrained(model_directory, dtype=torch.float32)
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        model = peft.get_peft_model(base, config)
        model.save_pretrained(work / "start")
        (work / "recipe.yaml").write_text(RECIPE.format(
            model=model_directory, adapter=work / "start", rows=work / "rows.json", steps=STEPS, batch=ROWS,
            length=MAX_LENGTH, rate=RATE, output=work / "run"))
        subprocess.run([options.lora_train, str(work / "recipe.yaml")], check=True, stdout=subprocess.DEVNULL)

        losses = reference_losses(model, samples)
        ours = [json.loads(line) for line in (work / "run" / "metrics.jsonl").read_text().splitlines()]
        ours = [row["loss"] for row in ours if "loss" in row]
        print(f"loss, step 1 and {STEPS}: {ours[0]:.5f} {ours[-1]:.5f} (PEFT {losses[0]:.5f} {losses[-1]:.5f})")
        if len(ours) != STEPS or not ours[-1] < ours[0]:
            failures.append("number of steps, or the loss did not fall")
        report(f"largest loss difference over {STEPS} steps", max(abs(a - b) for a, b in zip(ours, losses)), 1e-4)

        ids = torch.tensor([sample[0][:60] for sample in samples if len(sample[0]) >= 60][:4])
        base = transformers.LlamaForCausalLM.from_pretrained(model_directory, dtype=torch.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", FutureWarning)  # the libraries' word to each other, not on the adapter
            loaded = peft.PeftModel.from_pretrained(base, work / "run" / "adapter").eval()
        merged = transformers.LlamaForCausalLM.from_pretrained(work / "run" / "merged", dtype=torch.float32).eval()
        script = torch.jit.load(work / "run" / "merged.pt")
        subprocess.run([options.lora_train.replace("lora-train", "lora-export"), str(work / "start"), "--format",
                        "torchscript", "--output", str(work / "base.pt"), "--model", str(model_directory)], check=True,
                       stdout=subprocess.DEVNULL)
        with torch.no_grad():
            with loaded.disable_adapter():  # the starting adapter's B is zero
                report("base model in transformers, against lora-export of PEFT's fresh adapter",
                       (torch.jit.load(work / "base.pt")(ids) - loaded(ids).logits).abs().max().item(), 1e-5)
            wanted = loaded(ids).logits
            scale = wanted.abs().max().item()
            report("our adapter in PEFT, against merged TorchScript", (script(ids) - wanted).abs().max().item() / scale,
                   1e-5)
            report("our adapter in PEFT, against PEFT's own training", (model.eval()(ids).logits - wanted).abs().max().item(),
                   1e-3)
            report("merged by PEFT, against our merged directory",
                   (merged(ids).logits - loaded.merge_and_unload()(ids).logits).abs().max().item(), 1e-5)
            prompt = ids[:1, :20]
            greedy = merged.generate(prompt, max_new_tokens=20, do_sample=False, pad_token_id=0)
            same = torch.equal(script.generate(prompt, 20)[:, :greedy.size(1)], greedy)
            report("greedy tokens of TorchScript's generate that differ", 0.0 if same else 1.0, 0)
    print(f"{'FAILED' if failures else 'passed'}: torch {torch.__version__}, transformers {transformers.__version__}, "
          f"peft {peft.__version__}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
