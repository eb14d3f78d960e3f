#!/usr/bin/env python3
"""logging: [tensorboard], read by TensorBoard itself: every number of metrics.jsonl, in a run, and in one that was stopped
and resumed, whose steps after the checkpoint count once."""

import pathlib
import shutil
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import common

RECIPE = """model: {{path: {model}, dtype: float32}}
adapter: {{method: lora, rank: 4, alpha: 8}}
data:
  train: [{{path: {data}/train.jsonl, format: completion}}]
  validation: [{{path: {data}/validation.jsonl, format: completion}}]
training: {{max_steps: 8, batch_size: 2, max_length: 256, learning_rate: 1.0e-3, eval_every: 4, checkpoint_every: 4}}
logging: [tensorboard]
output_dir: {run}
"""


def scalars(run):
    """{tag: {step: value}} as TensorBoard has them."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def expected(run):
    found = {}
    for row in common.metrics(run):
        for key, value in row.items():
            if key == "step" or not isinstance(value, (int, float)) or isinstance(value, bool):
                continue
            tag = f"validation/{key[5:]}" if key.startswith("eval_") else f"train/{key}"
            found.setdefault(tag, {})[row["step"]] = value
    return found


def compare(verdicts, what, run):
    ours, theirs = expected(run), scalars(run)
    verdicts.check(f"{what}: tags", set(ours) == set(theirs), f"{sorted(ours)} and {sorted(theirs)}")
    verdicts.check(f"{what}: steps", all(ours[tag].keys() == theirs.get(tag, {}).keys() for tag in ours))
    verdicts.report(f"{what}: values, relatively",
                    max(abs(theirs[tag][step] - value) / max(1e-30, abs(value))
                        for tag, steps in ours.items() for step, value in steps.items()), 1e-6)


def main():
    options = common.parse(__doc__, needs_data=False)
    verdicts = common.Verdicts()
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        run, recipe = directory / "run", directory / "recipe.yaml"
        quickstart = common.ROOT / "recipes/quickstart"
        recipe.write_text(RECIPE.format(model=quickstart / "model", data=quickstart / "data", run=run))
        programs = common.Programs(options.lora_train)
        programs.run("lora-train", recipe)
        compare(verdicts, "a run", run)
        # As if it had been killed after step 8 and before its checkpoint.
        shutil.rmtree(run / "checkpoints/step-000008")
        programs.run("lora-train", recipe, "--resume")
        compare(verdicts, "a resumed run", run)
        verdicts.check("two files", len(list((run / "tensorboard").iterdir())) == 2)
    raise SystemExit(verdicts.end())


if __name__ == "__main__":
    main()
