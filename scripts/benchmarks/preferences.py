"""The children of scripts/bench_preferences: what both sides are given, and one run of TRL.

    python -m benchmarks.preferences JOB.json ANSWER.json
"""

from __future__ import annotations

import json
import pathlib
import resource
import sys
import time

from benchmarks import inputs
from benchmarks.workloads import RATE, workloads


def make_pairs(directory: pathlib.Path, gsm8k: pathlib.Path, tokenizer: pathlib.Path, prompt: int, answer: int,
               count: int) -> dict[str, str]:
    """Pairs of two answers of `answer` tokens to a prompt of `prompt`, all of them gsm8k's words, and rows of the same
    tokens for supervised fine-tuning: the two answers one after the other."""
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    words = (word for line in gsm8k.read_text().splitlines() for text in json.loads(line).values()
             for word in text.split())

    def text_of(tokens: int) -> str:
        taken: list[str] = []
        while tokens > 0:
            taken.append(next(words))
            tokens -= len(pieces.encode(taken[-1]))
        return " ".join(taken)

    pairs = [{"prompt": text_of(prompt) + " ", "chosen": text_of(answer), "rejected": text_of(answer)}
             for _ in range(count)]
    rows = [{"prompt": pair["prompt"], "completion": f"{pair['chosen']} {pair['rejected']}"} for pair in pairs]
    paths = {}
    for name, lines in (("pairs", pairs), ("rows", rows)):
        path = directory / f"{name}-{prompt}-{answer}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        paths[name] = str(path)
    return paths


def prepare(job: dict) -> dict:
    """The W1 model, a PEFT adapter to start from, and pairs."""
    directory, gsm8k = pathlib.Path(job["directory"]), pathlib.Path(job["data"]) / "gsm8k" / "train.jsonl"
    directory.mkdir(parents=True, exist_ok=True)
    workload = next(w for w in workloads(job["toy"]) if w.key == "w1")
    tokenizer = inputs.make_tokenizer(directory, gsm8k)
    model = inputs.make_model(directory, workload.shape, "bfloat16", tokenizer)
    adapter = inputs.make_adapter(directory, model, workload)
    return {"model": str(model), "adapter": str(adapter), "rank": workload.rank, "alpha": workload.alpha,
            **make_pairs(directory, gsm8k, tokenizer, job["prompt"], job["answer"], job["steps"] * job["pairs"])}


def train(job: dict) -> dict:
    """TRL's DPO from the adapter: each step's seconds and loss. The reference's log-probabilities are computed before
    the clock starts."""
    import datasets
    import peft
    import torch
    import transformers
    import trl

    from benchmarks.sentence_piece import SentencePiece

    class Clock(transformers.TrainerCallback):
        def __init__(self):
            self.begin, self.steps = 0.0, []

        def on_step_begin(self, *_, **__):
            self.begin = time.perf_counter()

        def on_step_end(self, *_, **__):
            self.steps.append({"seconds": time.perf_counter() - self.begin})

        def on_log(self, args, state, control, logs=None, **_):
            if "loss" in logs:
                self.steps[-1]["loss"] = logs["loss"]

    torch.set_num_threads(job["threads"])
    datasets.disable_progress_bars()
    base = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.bfloat16)
    model = peft.PeftModel.from_pretrained(base, job["adapter"], is_trainable=True,
                                           autocast_adapter_dtype=not job["half"])
    lines = pathlib.Path(job["pairs"]).read_text().splitlines()
    clock = Clock()
    arguments = trl.DPOConfig(
        output_dir=job["directory"] + "/trl", max_steps=job["steps"], per_device_train_batch_size=job["batch"],
        gradient_accumulation_steps=job["pairs_a_step"] // job["batch"], learning_rate=RATE,
        lr_scheduler_type="constant", logging_steps=1, report_to=[], save_strategy="no", use_cpu=True,
        bf16=not job["half"], max_grad_norm=1.0, weight_decay=0.0, disable_tqdm=True, seed=1,
        gradient_checkpointing=job["checkpointed"], precompute_ref_log_probs=True, max_length=job["length"])
    trainer = trl.DPOTrainer(model=model, args=arguments,
                             train_dataset=datasets.Dataset.from_list([json.loads(line) for line in lines]),
                             processing_class=SentencePiece(pathlib.Path(job["model"]) / "tokenizer.model"),
                             callbacks=[clock])
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(trainer.train_dataset)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return {"steps": clock.steps, "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "version": f"TRL {trl.__version__}"}


if __name__ == "__main__":
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    answer = train(job) if job["child"] == "trl" else prepare(job)
    pathlib.Path(sys.argv[2]).write_text(json.dumps(answer))
