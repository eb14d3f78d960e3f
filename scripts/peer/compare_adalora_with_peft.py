#!/usr/bin/env python3
"""AdaLoRA and LoRA-FA in lora-train beside PEFT's own, on a real model and real rows:

  1. both start from the same PEFT adapter, see the same rows for 30 steps, and their losses agree within 1e-4 at every
     step; AdaLoRA's also through pruning, and with the same rank in every module at the end;
  2. PeftModel.from_pretrained loads what lora-train wrote (AdaLoRA's adapter in PEFT's format and as plain LoRA, with
     modules of rank 0) and computes the same logits as the merged model.

    scripts/peer/compare_adalora_with_peft.py --lora-train build/lora-train --data ../shared/data

Needs what compare_with_peft.py needs.
"""

import pathlib
import sys
import tempfile

import common
import peft
import torch
from peft.optimizers import lorafa

STEPS, ROWS, MAX_LENGTH, RATE = 30, 4, 384, 1e-3
SCHEDULE = {"target_r": 2, "tinit": 4, "tfinal": 8, "beta1": 0.85, "beta2": 0.85, "orth_reg_weight": 0.5}
RANK, ALPHA, DELTA_T = 6, 16, 3


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
    options = common.parse(__doc__)
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()
    lorafa.is_bf16_available = lambda: False  # its correction in float32, as ours is
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        stories = common.Stories(options.data, work, STEPS * ROWS, MAX_LENGTH)

        def train(name, **adapter):
            programs.train(common.write_recipe(
                work / f"{name}.yaml", model=stories.directory,
                adapter={"method": name, "target_modules": "all-linear", "init_from": str(work / name / "start"), **adapter},
                data=common.rows_in_order(stories.rows),
                training=common.in_order(STEPS, ROWS, MAX_LENGTH, RATE, adam_epsilon=1e-6 if name == "lora_fa" else 1e-8),
                output=work / name / "run",
                export=["peft", "huggingface"] + (["lora"] if name == "adalora" else [])))

        def compare_logits(name, adapter):
            merged = common.base_model(work / name / "run" / "merged").eval()
            loaded = peft.PeftModel.from_pretrained(stories.base(), work / name / "run" / adapter).eval()
            with torch.no_grad():
                verdicts.report(f"{name}: {adapter} in PEFT, against our merged model",
                                common.largest(loaded(stories.ids).logits - merged(stories.ids).logits), 1e-4)

        torch.manual_seed(11)
        model = peft.get_peft_model(stories.base(), peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear",
                                                                    task_type="CAUSAL_LM"))
        model.save_pretrained(work / "lora_fa" / "start")
        train("lora_fa", rank=8, alpha=16)
        optimizer = lorafa.create_lorafa_optimizer(model, r=8, lora_alpha=16, lr=RATE)
        verdicts.compare_losses("lora_fa", common.losses(work / "lora_fa" / "run"),
                                common.reference_losses(model, stories.samples, optimizer, STEPS, ROWS))
        compare_logits("lora_fa", "adapter")

        torch.manual_seed(12)
        model = peft.get_peft_model(stories.base(), peft.AdaLoraConfig(
            init_r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM", total_step=STEPS,
            deltaT=DELTA_T, **SCHEDULE))
        model.save_pretrained(work / "adalora" / "start")
        train("adalora", rank=RANK, alpha=ALPHA, adalora={**SCHEDULE, "delta_t": DELTA_T})
        theirs = AdaLora(model)
        verdicts.compare_losses("adalora", common.losses(work / "adalora" / "run"), common.reference_losses(
            model, stories.samples, common.adamw(model, RATE), STEPS, ROWS, theirs.orthogonality, theirs.allocate))
        expected = {name.split(".lora_E")[0]: sum(mask)
                    for name, mask in model.peft_config["default"].rank_pattern.items()}
        ours = next(row["rank_pattern"] for row in common.metrics(work / "adalora" / "run") if "rank_pattern" in row)
        print("adalora: ranks", list(ours.values()))
        verdicts.report("adalora: modules of another rank than PEFT's", sum(
            ours[path] != rank for path, rank in expected.items()) if ours.keys() == expected.keys() else len(expected), 0)
        compare_logits("adalora", "adapter")
        compare_logits("adalora", "adapter-lora")
    return verdicts.end(peft)


if __name__ == "__main__":
    sys.exit(main())
