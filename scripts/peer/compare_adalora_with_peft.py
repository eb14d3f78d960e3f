#!/usr/bin/env python3
"""AdaLoRA and LoRA-FA in lora-train beside PEFT's own, on a real model and real rows:

  1. both start from the same PEFT adapter, see the same rows for 30 steps, and their losses agree within 1e-4 at every
     step; AdaLoRA's also through pruning, and with the same rank in every module at the end;
  2. PeftModel.from_pretrained loads what lora-train wrote (AdaLoRA's adapter in PEFT's format and as plain LoRA, with
     modules of rank 0) and computes the same logits as the merged model.

    scripts/peer/compare_adalora_with_peft.py --lora-train build/lora-train --data ../shared/data

Needs what compare_with_peft.py needs.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import peft
import sentencepiece
import torch
import transformers
from peft.optimizers import lorafa

from compare_with_peft import MAX_LENGTH, RATE, RECIPE, ROWS, STEPS, encode

SCHEDULE = {"target_r": 2, "tinit": 4, "tfinal": 8, "beta1": 0.85, "beta2": 0.85, "orth_reg_weight": 0.5}
RANK, ALPHA, DELTA_T = 6, 16, 3


def reference(model, samples, make_optimizer, after_step):
    """The loss of each step, its orthogonality term left out."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(parameters)
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
        after_step.orthogonality()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        after_step.allocate(step + 1)
        optimizer.zero_grad()
        losses.append(total)
    return losses


class Nothing:
    def orthogonality(self): pass
    def allocate(self, step): pass


class AdaLora:
    """PEFT adds the term to a loss that the model itself computes, once a forward pass; here it is one a step."""

    def __init__(self, model):
        self.model = model

    def orthogonality(self):
        norms = [torch.norm((p @ p.T if "lora_A" in n else p.T @ p) - torch.eye(RANK))
                 for n, p in self.model.named_parameters() if "lora_A" in n or "lora_B" in n]
        (SCHEDULE["orth_reg_weight"] * sum(norms) / len(norms)).backward()

    def allocate(self, step):
        self.model.base_model.update_and_allocate(step)


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
    lorafa.is_bf16_available = lambda: False  # its correction in float32, as ours is
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
    ids = torch.tensor([sample[0][:60] for sample in samples if len(sample[0]) >= 60][:4])
    base = lambda: transformers.LlamaForCausalLM.from_pretrained(model_directory, dtype=torch.float32)

    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        (work / "rows.json").write_text(json.dumps(rows))

        def train(name, changes):
            (work / f"{name}.yaml").write_text(RECIPE.format(
                model=model_directory, adapter=work / name / "start", rows=work / "rows.json", steps=STEPS, batch=ROWS,
                length=MAX_LENGTH, rate=RATE, output=work / name / "run"))
            subprocess.run([options.lora_train, str(work / f"{name}.yaml"), *changes], check=True,
                           stdout=subprocess.DEVNULL)
            ours = [json.loads(line) for line in (work / name / "run" / "metrics.jsonl").read_text().splitlines()]
            return [row for row in ours if "loss" in row]

        def compare(name, found, wanted):
            losses = [row["loss"] for row in found]
            print(f"{name}: loss, step 1 and {STEPS}: {losses[0]:.5f} {losses[-1]:.5f} (PEFT {wanted[0]:.5f} {wanted[-1]:.5f})")
            report(f"{name}: largest loss difference over {STEPS} steps",
                   max(abs(a - b) for a, b in zip(losses, wanted)) if len(losses) == STEPS else 1, 1e-4)

        def compare_logits(name, adapter):
            merged = transformers.LlamaForCausalLM.from_pretrained(work / name / "run" / "merged", dtype=torch.float32)
            loaded = peft.PeftModel.from_pretrained(base(), work / name / "run" / adapter).eval()
            with torch.no_grad():
                wanted = merged.eval()(ids).logits
                report(f"{name}: {adapter} in PEFT, against our merged model", (loaded(ids).logits - wanted).abs().max().item(),
                       1e-4)

        torch.manual_seed(11)
        model = peft.get_peft_model(base(), peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear",
                                                            task_type="CAUSAL_LM"))
        model.save_pretrained(work / "lora_fa" / "start")
        found = train("lora_fa", ["adapter.method=lora_fa", "training.adam_epsilon=1.0e-6"])
        compare("lora_fa", found, reference(
            model, samples, lambda _: lorafa.create_lorafa_optimizer(model, r=8, lora_alpha=16, lr=RATE), Nothing()))
        compare_logits("lora_fa", "adapter")

        torch.manual_seed(12)
        model = peft.get_peft_model(base(), peft.AdaLoraConfig(
            init_r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM", total_step=STEPS,
            deltaT=DELTA_T, **SCHEDULE))
        model.save_pretrained(work / "adalora" / "start")
        found = train("adalora", ["adapter.method=adalora", f"adapter.rank={RANK}", f"adapter.alpha={ALPHA}",
                                  f"adapter.adalora={json.dumps({**SCHEDULE, 'delta_t': DELTA_T})}",
                                  "export=[peft, lora, huggingface]"])
        compare("adalora", found, reference(
            model, samples, lambda parameters: torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0), AdaLora(model)))
        theirs = {name.split(".lora_E")[0]: sum(mask)
                  for name, mask in model.peft_config["default"].rank_pattern.items()}
        ours = next(row["rank_pattern"] for row in found if "rank_pattern" in row)
        print("adalora: ranks", list(ours.values()))
        report("adalora: modules of another rank than PEFT's", sum(ours[path] != rank for path, rank in theirs.items())
               if ours.keys() == theirs.keys() else len(theirs), 0)
        compare_logits("adalora", "adapter")
        compare_logits("adalora", "adapter-lora")
    print(f"{'FAILED' if failures else 'passed'}: torch {torch.__version__}, transformers {transformers.__version__}, "
          f"peft {peft.__version__}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
