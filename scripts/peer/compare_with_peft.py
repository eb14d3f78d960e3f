#!/usr/bin/env python3
"""lora-train beside transformers + PEFT on a real model and real rows, both ways:

  1. logits of the base model agree within 1e-5 (float32);
  2. both start from the same PEFT adapter (init_from), see the same rows in the same order for 30 steps, and their
     losses agree within 1e-4 at every step;
  3. PeftModel.from_pretrained loads the adapter that lora-train wrote, without a warning, and computes the same logits;
     merged by PEFT it gives those of lora-train's merged directory within 1e-5.

    scripts/peer/compare_with_peft.py --lora-train build/lora-train --data ../shared/data

Needs torch, transformers, peft and sentencepiece 0.2.2. Tokens and masks are made here again, from the recipe's
definition, and not taken from lora-train.
"""

import pathlib
import sys
import tempfile

import common
import peft
import torch

STEPS, ROWS, MAX_LENGTH, RATE = 30, 4, 384, 1e-3


def main():
    options = common.parse(__doc__)
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        stories = common.Stories(options.data, work, STEPS * ROWS, MAX_LENGTH)
        torch.manual_seed(11)
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        model = peft.get_peft_model(stories.base(), config)
        model.save_pretrained(work / "start")
        programs.train(common.write_recipe(
            work / "recipe.yaml", model=stories.directory,
            adapter={"method": "lora", "rank": 8, "alpha": 16, "target_modules": "all-linear",
                     "init_from": str(work / "start")},
            data=common.rows_in_order(stories.rows), training=common.in_order(STEPS, ROWS, MAX_LENGTH, RATE),
            output=work / "run", export=["peft", "torchscript", "huggingface"]))

        ours = common.losses(work / "run")
        verdicts.compare_losses("", ours, common.reference_losses(model, stories.samples, common.adamw(model, RATE), STEPS,
                                                                  ROWS))
        verdicts.check("the loss falls", ours[-1] < ours[0])

        ids = stories.ids
        loaded = common.load_adapter(stories.base(), work / "run" / "adapter")
        merged = common.base_model(work / "run" / "merged").eval()
        script = torch.jit.load(work / "run" / "merged.pt")
        base = torch.jit.load(programs.export(work / "start", "torchscript", work / "base.pt", "--model", stories.directory))
        with torch.no_grad():
            with loaded.disable_adapter():  # the starting adapter's B is zero
                verdicts.report("base model in transformers, against lora-export of PEFT's fresh adapter",
                                common.largest(base(ids) - loaded(ids).logits), 1e-5)
            expected = loaded(ids).logits
            verdicts.report("our adapter in PEFT, against merged TorchScript", common.relative(script(ids), expected), 1e-5)
            verdicts.report("our adapter in PEFT, against PEFT's own training",
                            common.largest(model.eval()(ids).logits - expected), 1e-3)
            verdicts.report("merged by PEFT, against our merged directory",
                            common.largest(merged(ids).logits - loaded.merge_and_unload()(ids).logits), 1e-5)
            prompt = ids[:1, :20]
            greedy = merged.generate(prompt, max_new_tokens=20, do_sample=False, pad_token_id=0)
            verdicts.check("greedy tokens of TorchScript's generate",
                           torch.equal(script.generate(prompt, 20)[:, :greedy.size(1)], greedy))
    return verdicts.end(peft)


if __name__ == "__main__":
    sys.exit(main())
