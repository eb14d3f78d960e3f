"""The two tasks, and the model whose memory is measured. Data is written into a working directory."""

from __future__ import annotations

import json
import pathlib
import random
import shutil

from method_study.experiments import MEMORY_SHAPE, RANK, Task

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
QUICKSTART = ROOT / "recipes" / "quickstart"

COMMON = {"training.eval_every": 0, "training.checkpoint_every": 0, "training.threads": 1, "export": [],
          "training.lr_schedule": "cosine", "training.warmup_steps": 5, "evaluation.show": 0}

SHAKESPEARE = """\
model: {{path: {model}}}
adapter: {{method: lora, target_modules: all-linear}}
data:
  train: [{{path: {train}, format: text}}]
  validation: [{{path: {validation}, format: text}}]
training: {{max_steps: 150, batch_size: 8, max_length: 256, learning_rate: 1.0e-3}}
output_dir: {work}/run
"""

MEMORY = """\
model: {{path: {model}, init: random, dtype: bfloat16}}
adapter: {{method: lora, target_modules: all-linear, rank: {rank}, alpha: {alpha}}}
data:
  train: [{{path: {train}, format: completion}}]
training: {{max_steps: 3, batch_size: 2, max_length: 512, learning_rate: 1.0e-4}}
output_dir: {work}/run
export: []
"""


def questions() -> Task:
    return Task(
        "questions", "A skill",
        "The quickstart: a model that knows a village by heart and has never seen a question learns to answer "
        "questions, 100 steps of 4 rows. Validation is about villagers that no training question is about. The model "
        "learns a form: its weights hold the knowledge already.",
        ROOT / "recipes" / "quickstart.yaml",
        {**COMMON, "training.max_steps": 100, "evaluation.exact_match": 100}, steps=100, largest_rank=64)


def shakespeare(data: pathlib.Path, work: pathlib.Path) -> Task | None:
    """None where the data is absent."""
    source, model = data / "text" / "input.txt", data / "stories260k"
    if not source.exists() or not model.exists():
        return None
    pieces = packed_speeches(source.read_text(), 700)
    random.Random(0).shuffle(pieces)
    held_out = len(pieces) // 20
    for name, part in (("validation", pieces[:held_out]), ("train", pieces[held_out:])):
        (work / f"shakespeare-{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in part))
    recipe = work / "shakespeare.yaml"
    recipe.write_text(SHAKESPEARE.format(model=model, train=work / "shakespeare-train.jsonl",
                                         validation=work / "shakespeare-validation.jsonl", work=work))
    return Task(
        "shakespeare", "A new domain",
        "A LLaMA of 260 thousand parameters, trained on children's stories, reads Shakespeare, 150 steps of 8 rows of "
        "256 tokens. The model learns knowledge: words, names and spellings that it has never seen.",
        recipe, COMMON, steps=150, largest_rank=32)


def packed_speeches(text: str, size: int) -> list[str]:
    """Whole speeches, joined until they are about `size` characters."""
    pieces: list[str] = []
    current = ""
    for speech in text.split("\n\n"):
        if current and len(current) + len(speech) > size:
            pieces.append(current)
            current = ""
        current += ("\n\n" if current else "") + speech
    return pieces + [current] if current else pieces


def memory_recipe(work: pathlib.Path) -> pathlib.Path:
    model = work / "model-135m"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(MEMORY_SHAPE))
    shutil.copy(QUICKSTART / "model" / "tokenizer.model", model)
    recipe = work / "memory.yaml"
    recipe.write_text(MEMORY.format(model=model, rank=RANK, alpha=2 * RANK, work=work,
                                    train=QUICKSTART / "data" / "train.jsonl"))
    return recipe
