#!/usr/bin/env python3
"""lora-train's classifier beside transformers + PEFT (TaskType.SEQ_CLS) on a real model and six of banking77's labels:

  1. both start from the same adapter and head (init_from), see the same texts in the same order for 60 steps, the head at
     its own rate, and their losses agree within 1e-4 at every step;
  2. accuracy and macro-F1 in metrics.jsonl are those of our adapter in PEFT on the same texts;
  3. PeftModel.from_pretrained over AutoModelForSequenceClassification loads the adapter that lora-train wrote, without a
     warning; our merged Hugging Face directory and TorchScript file give its logits within 1e-5, also padded;
  4. lora-classify names the labels that PEFT finds.

    scripts/peer/compare_classifier_with_peft.py --lora-train build/lora-train --data ../shared/data

Needs torch, transformers, peft and sentencepiece 0.2.2.
"""

import csv
import json
import pathlib
import random
import sys
import tempfile

import common
import peft
import sentencepiece
import torch
import transformers

STEPS, ROWS, HELD_OUT, RATE, HEAD_RATE = 60, 8, 240, 2e-3, 4e-3


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
    options = common.parse(__doc__)
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()
    report = verdicts.report
    data = options.data
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
        def source(name):
            return [{"path": str(work / name), "format": "classification", "fields": {"label": "category"}}]

        programs.train(common.write_recipe(
            work / "recipe.yaml", model=base_directory, head="sequence_classification",
            adapter={"rank": 8, "alpha": 16, "target_modules": "all-linear", "init_from": str(work / "start")},
            data={"train": source("train.csv"), "validation": source("validation.csv"), "shuffle": False},
            training=common.in_order(STEPS, ROWS, 512, RATE, learning_rates={"head": HEAD_RATE}),
            output=work / "run", export=["peft", "torchscript", "huggingface"]))

        ours = common.losses(work / "run")
        evaluation = [row for row in common.metrics(work / "run") if "eval_loss" in row][-1]
        verdicts.compare_losses("", ours, reference_losses(model, encode(train)))
        verdicts.check("the loss falls", min(ours[-5:]) < ours[0])

        labels = json.loads((work / "run" / "adapter" / "labels.json").read_text())
        loaded = common.load_adapter(make_base(**labels), work / "run" / "adapter")
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
        answer = programs.run("lora-classify", work / "run", "--input", work / "validation.csv")
        found = [line.split("\t")[0] for line in answer.splitlines()]
        report("labels of lora-classify that differ", sum(a != names[b] for a, b in zip(found, predicted)), 0)
    return verdicts.end(peft)


if __name__ == "__main__":
    sys.exit(main())
