#!/usr/bin/env python3
"""lora-train's objectives on preferences beside TRL's trainers, on a real model and real pairs.

Both start from the same PEFT adapter, whose B is not zero, see the same pairs in the same order for 20 steps in float32,
and agree at every step: losses within 1e-4, rewards within 1e-3.

    scripts/peer/compare_with_trl.py --lora-train build/lora-train --data ../shared/data

Needs torch, transformers, peft, trl 1.16, datasets and sentencepiece 0.2.2.
"""

import json
import pathlib
import sys
import tempfile
import warnings

import common
import datasets
import peft
import torch
import transformers
import trl
from benchmarks.sentence_piece import SentencePiece
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

STEPS, PAIRS, LENGTH, RATE = 20, 4, 256, 1e-3


def read_pairs(data, tokenizer, count):
    """Rows whose texts fit, as {prompt, chosen, rejected}."""
    rows = json.loads((data / "instruction" / "instruction-data-with-preference.json").read_text())
    pairs = []
    for row in rows:
        pair = {"prompt": common.alpaca(row), "chosen": row["chosen"], "rejected": row["rejected"]}
        lengths = [len(tokenizer(pair["prompt"] + pair[answer])["input_ids"]) + 1 for answer in ("chosen", "rejected")]
        if pair["chosen"] != pair["rejected"] and max(lengths) <= LENGTH:
            pairs.append(pair)
    return pairs[:count]


def marked(pairs):
    """KTO's rows: good and bad answers in turn."""
    return [{"prompt": pair["prompt"], "completion": pair["chosen" if i % 2 == 0 else "rejected"], "label": i % 2 == 0}
            for i, pair in enumerate(pairs)]


def start_adapter(base, directory, task, **more):
    torch.manual_seed(11)
    config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"], task_type=task, **more)
    model = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    model.save_pretrained(directory)
    return config


class Log(transformers.TrainerCallback):
    """Keeps what a trainer logs."""

    def __init__(self):
        self.rows = []

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.rows.append(dict(logs))


def reference(work, trainer_class, config_class, base, adapter, rows, tokenizer, **options):
    """What TRL logs at each step."""
    model = peft.PeftModel.from_pretrained(base, adapter, is_trainable=True)
    log = Log()
    arguments = config_class(
        output_dir=str(work / "trl"), max_steps=STEPS, per_device_train_batch_size=PAIRS, learning_rate=RATE,
        lr_scheduler_type="constant", logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, bf16=False,
        max_grad_norm=1.0, weight_decay=0.0, gradient_checkpointing=False, disable_tqdm=True, seed=1, **options)
    trainer = trainer_class(model=model, args=arguments, train_dataset=datasets.Dataset.from_list(rows),
                            processing_class=tokenizer, callbacks=[log])
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(trainer.train_dataset)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return log.rows


def ours(work, programs, name, model, adapter, rows, objective, **more):
    (work / f"{name}.json").write_text(json.dumps(rows))
    run = work / f"run-{name}"
    preference = {**more}
    programs.train(common.write_recipe(
        work / f"{name}.yaml", model=model,
        adapter={"method": "lora", "rank": 8, "alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj"],
                 "init_from": str(adapter)},
        data={"train": [{"path": str(work / f"{name}.json")}], "shuffle": False, "cache_dir": str(work / "cache")},
        training=common.in_order(STEPS, PAIRS, LENGTH, RATE, objective=objective,
                                 **({"preference": preference} if preference else {})),
        output=run))
    return [row for row in common.metrics(run) if "loss" in row]


def main():
    options = common.parse(__doc__)
    datasets.disable_progress_bars()
    warnings.simplefilter("ignore")
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()
    directory = options.data / "stories260k"
    tokenizer = SentencePiece(directory / "tokenizer.model")
    pairs = read_pairs(options.data, tokenizer, STEPS * PAIRS)
    verdicts.check("enough pairs", len(pairs) == STEPS * PAIRS, str(len(pairs)))

    def compare(name, objective, mine, trainer, config, rows, logged, **theirs):
        with tempfile.TemporaryDirectory() as temporary:
            work = pathlib.Path(temporary)
            is_reward = objective == "reward"
            make = transformers.AutoModelForSequenceClassification if is_reward else transformers.AutoModelForCausalLM
            load = lambda: make.from_pretrained(directory, dtype=torch.float32, **({"num_labels": 1} if is_reward else {}))
            torch.manual_seed(5)
            base = load()
            start_adapter(base, work / "start", "SEQ_CLS" if is_reward else "CAUSAL_LM")
            found = ours(work, programs, name, directory, work / "start", rows, objective, **mine)
            expected = reference(work, trainer, config, load(), work / "start", rows, tokenizer, **theirs)
        verdicts.compare_losses(name, [row["loss"] for row in found], [row["loss"] for row in expected])
        for key in logged:
            verdicts.report(f"{name}: {key}", max(abs(a[key] - b[key]) for a, b in zip(found, expected)), 1e-3)

    rewards = ["rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"]
    answer = {"max_length": LENGTH}
    for loss in ("sigmoid", "hinge", "robust", "apo_zero", "apo_down", "sigmoid_norm"):
        smoothing = {"label_smoothing": 0.1} if loss == "robust" else {}
        compare(f"dpo {loss}", "dpo", {"loss": loss, **smoothing}, trl.DPOTrainer, trl.DPOConfig, pairs, rewards,
                loss_type=[loss], **smoothing, **answer)
    compare("ipo", "ipo", {}, trl.DPOTrainer, trl.DPOConfig, pairs, rewards, loss_type=["ipo"], **answer)
    compare("orpo", "orpo", {}, ORPOTrainer, ORPOConfig, pairs, rewards, **answer)
    compare("cpo", "cpo", {}, CPOTrainer, CPOConfig, pairs, rewards, **answer)
    compare("simpo", "simpo", {"beta": 2.0}, CPOTrainer, CPOConfig, pairs, rewards, loss_type="simpo", cpo_alpha=0.0,
            beta=2.0, **answer)
    compare("kto", "kto", {}, trl.KTOTrainer, trl.KTOConfig, marked(pairs), rewards[:3] + ["kl"], **answer)
    compare("reward", "reward", {"center_rewards_coefficient": 0.01}, trl.RewardTrainer, trl.RewardConfig, pairs,
            ["accuracy", "margin"], center_rewards_coefficient=0.01, **answer)
    return verdicts.end(peft, trl)


if __name__ == "__main__":
    sys.exit(main())
