"""What the comparisons share: their options and verdicts, runs of the programs, and PEFT's training on the same rows."""

import argparse
import json
import pathlib
import subprocess
import sys
import warnings

import peft
import sentencepiece
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))

from benchmarks import rows  # noqa: E402


def parse(doc, needs_data=True, **more):
    """The options of a comparison; `more`: further ones by name, as add_argument takes them."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora-train", default=ROOT / "build/lora-train", type=pathlib.Path)
    parser.add_argument("--data", default=ROOT.parent / "shared/data", type=pathlib.Path,
                        help="the shared data" if needs_data else "not used")
    for name, settings in more.items():
        parser.add_argument(f"--{name}", **settings)
    options = parser.parse_args()
    options.lora_train, options.data = options.lora_train.resolve(), options.data.resolve()
    if needs_data and not options.data.exists():
        print(f"skipped: this comparison needs {options.data}")
        raise SystemExit(77)
    transformers.logging.set_verbosity_error()
    return options


class Verdicts:
    """What was compared so far, printed as it comes."""

    def __init__(self):
        self.failures = []

    def check(self, what, good, detail=""):
        print(f"{'ok  ' if good else 'FAIL'} {what}{': ' if detail else ''}{detail}", flush=True)
        if not good:
            self.failures.append(what)

    def report(self, what, difference, bound):
        self.check(what, difference <= bound, f"{difference:.2e} (bound {bound:.0e})")

    def compare_losses(self, name, found, expected, bound=1e-4):
        """Losses of lora-train against the reference's, step by step."""
        what = f"{name}: " if name else ""
        print(f"{what}loss, step 1 and {len(expected)}: {found[0]:.5f} {found[-1]:.5f} "
              f"(reference {expected[0]:.5f} {expected[-1]:.5f})")
        self.check(f"{what}number of steps", len(found) == len(expected))
        self.report(f"{what}largest loss difference over {len(expected)} steps",
                    max(abs(a - b) for a, b in zip(found, expected)), bound)

    def end(self, *packages):
        """Prints the outcome with the packages' versions, and returns the exit code."""
        versions = ", ".join(f"{package.__name__} {package.__version__}" for package in (torch, transformers, *packages))
        print(f"{'FAILED: ' + '; '.join(self.failures) if self.failures else 'passed'}: {versions}")
        return 1 if self.failures else 0


class Programs:
    """The programs beside lora-train. A failure is a RuntimeError with what the program printed on stderr."""

    def __init__(self, lora_train):
        self.directory = lora_train.parent

    def run(self, name, *arguments):
        """What the program prints."""
        done = subprocess.run([str(self.directory / name), *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"{name}: exit code {done.returncode}")
        return done.stdout

    def export(self, source, format, output, *more):
        self.run("lora-export", source, "--format", format, "--output", output, *more)
        return output

    def train(self, recipe, *overrides):
        self.run("lora-train", recipe, *overrides)


def metrics(run):
    """The rows of a run's steps and evaluations."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run):
    return [row["loss"] for row in metrics(run) if "loss" in row]


def write_recipe(path, *, model, adapter, data, training, output, export=(), **model_options):
    """A recipe in float32. JSON is YAML."""
    path.write_text(json.dumps({"model": {"path": str(model), "dtype": "float32", **model_options}, "adapter": adapter,
                                "data": data, "training": training, "output_dir": str(output), "export": list(export)}))
    return path


def rows_in_order(path):
    """The recipe's `data` for rows of format alpaca that are not shuffled."""
    return {"train": [{"path": str(path), "format": "alpaca"}], "shuffle": False}


def in_order(steps, batch, length, rate, **more):
    """The recipe's `training` for steps of `batch` rows each, at a constant rate."""
    return {"max_steps": steps, "batch_size": batch, "max_length": length, "packing": False, "learning_rate": rate,
            "lr_schedule": "constant", **more}


def alpaca(row):
    if row["input"]:
        head = ("Below is an instruction that describes a task, paired with an input that provides further context. "
                "Write a response that appropriately completes the request.")
        return f"{head}\n\n### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:\n"
    head = ("Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request.")
    return f"{head}\n\n### Instruction:\n{row['instruction']}\n\n### Response:\n"


def encode(tokenizer, row, length):
    """ids and labels, at most `length`: one BOS, EOS trained, tokens that begin inside the prompt masked."""
    sample = rows.encode(tokenizer, alpaca(row), row["output"], length)
    return sample.ids, [id if trained else -100 for id, trained in zip(sample.ids, sample.supervised)]


class Stories:
    """stories260k and the first `count` instruction rows, in a file of `work` and as samples of at most `length` tokens."""

    def __init__(self, data, work, count, length):
        self.directory = data / "stories260k"
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(self.directory / "tokenizer.model"))
        read = json.loads((data / "instruction" / "instruction-data.json").read_text())[:count]
        self.rows = work / "rows.json"
        self.rows.write_text(json.dumps(read))
        self.samples = [encode(self.tokenizer, row, length) for row in read]
        # (4, 60): texts to compare logits on
        self.ids = torch.tensor([sample[0][:60] for sample in self.samples if len(sample[0]) >= 60][:4])

    def base(self):
        return base_model(self.directory)


def base_model(directory):
    return transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)


def load_adapter(base, adapter, *ignored):
    """PEFT's model of an adapter on `base`, for evaluation. A warning is an error, but for messages like `ignored`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in (FutureWarning, DeprecationWarning):  # about the libraries themselves, not about the adapter
            warnings.simplefilter("ignore", kind)
        for message in ignored:
            warnings.filterwarnings("ignore", message=message)
        return peft.PeftModel.from_pretrained(base, adapter).eval()


def reference_losses(model, samples, optimizer, steps, batch_size, before_clip=lambda: None, after_step=lambda step: None):
    """Trains with PyTorch on the same rows in the same order. The loss of each step: the mean over its trained tokens."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    found = []
    for step in range(steps):
        batch = samples[step * batch_size:(step + 1) * batch_size]
        count = sum(sum(label != -100 for label in labels[1:]) for _, labels in batch)
        total = 0.0
        for ids, labels in batch:
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[1:]), ignore_index=-100,
                                                     reduction="sum") / count
            loss.backward()
            total += loss.item()
        before_clip()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        after_step(step + 1)
        optimizer.zero_grad()
        found.append(total)
    return found


def adamw(model, rate):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0.0)


def largest(difference):
    return difference.abs().max().item()


def relative(found, expected):
    """max |found - expected| / max |expected|"""
    return largest(found - expected) / largest(expected)
