#!/usr/bin/env python3
"""lora-train's classifier beside transformers + PEFT (TaskType.SEQ_CLS) on a real model and six of banking77's labels:

  1. both start from the same adapter and head (init_from), see the same texts in the same order for 60 steps, the head at
     its own rate, and their losses agree within 1e-4 at every step;
  2. accuracy and macro-F1 in metrics.jsonl are those of our adapter in PEFT on the same texts;
  3. PeftModel.from_pretrained over AutoModelForSequenceClassification loads the adapter that lora-train wrote, without a
     warning; our merged Hugging Face directory and TorchScript file give its logits within 1e-5, also padded;
  4. lora-classify names the labels that PEFT finds.

    scripts/peer/compare_classifier_with_peft.py --lora-train build/lora-train --data ../shared/data

Needs torch, transformers, peft and sentencepiece==0.2.1.
"""

import argparse
import csv
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

import peft
import sentencepiece
import torch
import transformers

STEPS, ROWS, HELD_OUT, RATE, HEAD_RATE = 60, 8, 240, 2e-3, 4e-3

RECIPE = """
model: {{path: {model}, dtype: float32, head: sequence_classification}}
adapter: {{rank: 8, alpha: 16, target_modules: all-linear, init_from: {adapter}}}
data:
  train: [{{path: {train}, format: classification, fields: {{label: category}}}}]
  validation: [{{path: {validation}, format: classification, fields: {{label: category}}}}]
  shuffle: false
training:
  max_steps: {steps}
  batch_size: {batch}
  max_length: 512
  packing: false
  learning_rate: {rate}
  learning_rates: {{head: {head_rate}}}
  lr_schedule: constant
output_dir: {output}
export: [peft, torchscript, huggingface]
"""


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def write_rows(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "category"])
        writer.writerows(rows)


def reference_losses(model, samples):
    head = [p for name, p in model.named_parameters() if p.requires_grad and "score" in name]
    adapter = [p for name, p in model.named_parameters() if p.requires_grad and "score" not in name]
    optimizer = torch.optim.AdamW([{"params": head, "lr": HEAD_RATE}, {"params": adapter, "lr": RATE}], weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        total = 0.0
        for ids, label in samples[step * ROWS:(step + 1) * ROWS]:
            loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([label])).loss / ROWS
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(head + adapter, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def macro_f1(labels, predicted):
    scores = []
    for label in set(labels) | set(predicted):
        right = sum(a == b == label for a, b in zip(labels, predicted))
        scores.append(2 * right / (labels.count(label) + predicted.count(label)))
    return sum(scores) / len(scores)


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

    base_directory = data / "stories260k"
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(base_directory / "tokenizer.model"))
    train = read_rows(data / "banking77" / "train.csv")
    names = sorted({label for _, label in train})[::13]
    train = [row for row in train if row[1] in names]
    random.Random(5).shuffle(train)  # the file is sorted by label
    train = train[:STEPS * ROWS]
    held_out = [row for row in read_rows(data / "banking77" / "test.csv") if row[1] in names][:HELD_OUT]

    def encode(rows):
        return [([tokenizer.bos_id()] + tokenizer.encode(text), names.index(label)) for text, label in rows]

    def make_base(**labels):
        return transformers.AutoModelForSequenceClassification.from_pretrained(
            base_directory, dtype=torch.float32, **labels)

    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        write_rows(work / "train.csv", train)
        write_rows(work / "validation.csv", held_out)
        torch.manual_seed(11)
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="SEQ_CLS")
        model = peft.get_peft_model(make_base(num_labels=len(names)), config)
        model.save_pretrained(work / "start")
        (work / "recipe.yaml").write_text(RECIPE.format(
            model=base_directory, adapter=work / "start", train=work / "train.csv", validation=work / "validation.csv",
            steps=STEPS, batch=ROWS, rate=RATE, head_rate=HEAD_RATE, output=work / "run"))
        subprocess.run([options.lora_train, str(work / "recipe.yaml")], check=True, stdout=subprocess.DEVNULL)

        losses = reference_losses(model, encode(train))
        rows = [json.loads(line) for line in (work / "run" / "metrics.jsonl").read_text().splitlines()]
        ours = [row["loss"] for row in rows if "loss" in row]
        evaluation = [row for row in rows if "eval_loss" in row][-1]
        print(f"loss, step 1 and {STEPS}: {ours[0]:.5f} {ours[-1]:.5f} (PEFT {losses[0]:.5f} {losses[-1]:.5f})")
        if len(ours) != STEPS or not min(ours[-5:]) < ours[0]:
            failures.append("number of steps, or the loss did not fall")
        report(f"largest loss difference over {STEPS} steps", max(abs(a - b) for a, b in zip(ours, losses)), 1e-4)

        labels = json.loads((work / "run" / "adapter" / "labels.json").read_text())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", FutureWarning)  # the libraries' word to each other, not on the adapter
            loaded = peft.PeftModel.from_pretrained(make_base(**labels), work / "run" / "adapter").eval()
        samples = encode(held_out)
        with torch.no_grad():
            outputs = [loaded(input_ids=torch.tensor([ids]), labels=torch.tensor([label])) for ids, label in samples]
        logits = torch.cat([output.logits for output in outputs])
        predicted = logits.argmax(-1).tolist()
        wanted = [label for _, label in samples]
        mean = sum(output.loss.item() for output in outputs) / len(outputs)
        accuracy = sum(a == b for a, b in zip(wanted, predicted)) / len(wanted)
        print(f"held out: loss {mean:.5f}, accuracy {accuracy:.4f}, macro-F1 {macro_f1(wanted, predicted):.4f}")
        report("eval_loss against PEFT's", abs(evaluation["eval_loss"] - mean), 1e-4)
        report("eval_accuracy against PEFT's", abs(evaluation["eval_accuracy"] - accuracy), 1e-9)
        report("eval_macro_f1 against PEFT's", abs(evaluation["eval_macro_f1"] - macro_f1(wanted, predicted)), 1e-9)

        lengths = torch.tensor([len(ids) for ids, _ in samples])
        merged = transformers.AutoModelForSequenceClassification.from_pretrained(
            work / "run" / "merged", dtype=torch.float32).eval()
        padded = torch.full((len(samples), int(lengths.max())), merged.config.pad_token_id)
        for row, (ids, _) in enumerate(samples):
            padded[row, :len(ids)] = torch.tensor(ids)
        script = torch.jit.load(work / "run" / "merged.pt")
        scale = logits.abs().max().item()
        with torch.no_grad():
            report("our merged directory in transformers, a padded batch, against PEFT",
                   (merged(padded, attention_mask=(padded != merged.config.pad_token_id).long()).logits - logits)
                   .abs().max().item() / scale, 1e-5)
            report("our TorchScript, a padded batch, against PEFT",
                   (script(padded, lengths) - logits).abs().max().item() / scale, 1e-5)
            report("PEFT's own training, against our adapter in PEFT",
                   max((model.eval()(input_ids=torch.tensor([ids])).logits[0] - logits[row]).abs().max().item()
                       for row, (ids, _) in enumerate(samples[:20])), 1e-3 * scale)
        report("names of merged labels that differ",
               float([merged.config.id2label[i] for i in range(len(names))] != names), 0)
        answer = subprocess.run(
            [options.lora_train.replace("lora-train", "lora-classify"), str(work / "run"), "--input",
             str(work / "validation.csv")], check=True, capture_output=True, text=True).stdout
        found = [line.split("\t")[0] for line in answer.splitlines()]
        report("labels of lora-classify that differ", sum(a != names[b] for a, b in zip(found, predicted)), 0)
    print(f"{'FAILED' if failures else 'passed'}: torch {torch.__version__}, transformers {transformers.__version__}, "
          f"peft {peft.__version__}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
