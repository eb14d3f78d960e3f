#!/usr/bin/env python3
"""lora-train's quantized bases beside bitsandbytes' CPU build, on a real model:

  1. the dequantized weights, as lora-export merges an untrained adapter into them, are those of bitsandbytes: value for
     value for int8 and for NF4 with plain scales; with double quantisation within one level of the nested scales, which
     bitsandbytes' CPU library rounds to a grid of 16 bits first (its CUDA kernels and our codes take the nearest);
  2. QLoRA in PEFT on bitsandbytes' Linear4bit and our nf4 run start from the same adapter, see the same rows, and their
     losses agree within 1e-3 at every step;
  3. the adapter that the nf4 run wrote loads in PEFT on the dense base and gives the logits of our merge into the
     original weights.

    scripts/peer/quantization_with_bitsandbytes.py --lora-train build/lora-train --data ../shared/data

Needs torch, transformers, peft, bitsandbytes (pip install --no-deps bitsandbytes) and sentencepiece==0.2.1.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import bitsandbytes
except ImportError:
    print("skipped: this comparison needs bitsandbytes")
    sys.exit(77)
import compare_with_peft as plain
import peft
import sentencepiece
import torch
import transformers
from safetensors.torch import load_file

UNTRAINED = 1e-20  # what is left in a merged weight of an adapter trained for one step at a rate of 1e-30


def quantize(model):
    """Every projection of the layers as bitsandbytes' Linear4bit, as transformers does it with load_in_4bit."""
    for layer in model.model.layers:
        for host in (layer.self_attn, layer.mlp):
            for name, linear in list(host.named_children()):
                if not isinstance(linear, torch.nn.Linear):
                    continue
                packed = bitsandbytes.nn.Linear4bit(linear.in_features, linear.out_features, bias=False,
                                                    compute_dtype=torch.float32, compress_statistics=True,
                                                    quant_type="nf4")
                packed.weight = bitsandbytes.nn.Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4",
                                                           compress_statistics=True)
                setattr(host, name, packed.to("cpu"))
    return model


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

    model_directory = data / "stories260k"
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model_directory / "tokenizer.model"))
    rows = json.loads((data / "instruction" / "instruction-data.json").read_text())[:plain.STEPS * plain.ROWS]
    samples = [plain.encode(tokenizer, row) for row in rows]
    functional = bitsandbytes.functional
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        (work / "rows.json").write_text(json.dumps(rows))
        torch.manual_seed(11)
        base = transformers.LlamaForCausalLM.from_pretrained(model_directory, dtype=torch.float32)
        dense = {name: tensor.clone() for name, tensor in base.state_dict().items()}
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        peft.get_peft_model(base, config).save_pretrained(work / "start")
        (work / "recipe.yaml").write_text(plain.RECIPE.format(
            model=model_directory, adapter=work / "start", rows=work / "rows.json", steps=plain.STEPS,
            batch=plain.ROWS, length=plain.MAX_LENGTH, rate=plain.RATE, output=work / "run"))

        def train(output, *overrides):
            subprocess.run([options.lora_train, str(work / "recipe.yaml"), f"output_dir={work / output}", *overrides],
                           check=True, stdout=subprocess.DEVNULL)

        def export(run, into):
            subprocess.run([options.lora_train.replace("lora-train", "lora-export"), str(work / run), "--format",
                            "huggingface", "--merge-into", into, "--output", str(work / f"{run}-{into}")], check=True,
                           stdout=subprocess.DEVNULL)
            return load_file(work / f"{run}-{into}" / "model.safetensors")

        def largest_difference(found, wanted):
            names = [name for name in found if name.endswith("_proj.weight")]
            assert len(names) == 35
            return max(((found[name] - wanted(dense[name])).abs().max() / dense[name].abs().max()).item()
                       for name in names)

        def nf4(weight, nested):
            codes, state = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=nested)
            return functional.dequantize_4bit(codes, state)

        def int8(weight):
            codes, scales, _ = functional.int8_vectorwise_quant(weight.clone())
            return functional.int8_vectorwise_dequant(codes, scales)

        untrained = ["training.max_steps=1", "training.learning_rate=1e-30", "export=[]"]
        train("int8", "model.quantization=int8", *untrained)
        report("int8 weights, against bitsandbytes", largest_difference(export("int8", "dequantized"), int8),
               UNTRAINED)
        train("nf4-plain", "model.quantization=nf4", "model.double_quantization=false", *untrained)
        report("NF4 weights with plain scales, against bitsandbytes",
               largest_difference(export("nf4-plain", "dequantized"), lambda w: nf4(w, False)), UNTRAINED)
        train("nf4-nested", "model.quantization=nf4", *untrained)
        report("NF4 weights with nested scales, against bitsandbytes, relative",
               largest_difference(export("nf4-nested", "dequantized"), lambda w: nf4(w, True)), 0.0141)

        train("run", "model.quantization=nf4", "export=[peft]")
        torch.manual_seed(11)
        packed = quantize(transformers.LlamaForCausalLM.from_pretrained(model_directory, dtype=torch.float32))
        reference = peft.PeftModel.from_pretrained(packed, work / "start", is_trainable=True)
        losses = plain.reference_losses(reference, samples)
        ours = [json.loads(line) for line in (work / "run" / "metrics.jsonl").read_text().splitlines()]
        ours = [row["loss"] for row in ours if "loss" in row]
        print(f"loss, step 1 and {plain.STEPS}: {ours[0]:.5f} {ours[-1]:.5f} (PEFT on bitsandbytes {losses[0]:.5f} "
              f"{losses[-1]:.5f})")
        if len(ours) != plain.STEPS or not ours[-1] < ours[0]:
            failures.append("number of steps, or the loss did not fall")
        report(f"largest loss difference over {plain.STEPS} steps", max(abs(a - b) for a, b in zip(ours, losses)), 1e-3)

        export("run", "original")
        ids = torch.tensor([sample[0][:60] for sample in samples if len(sample[0]) >= 60][:4])
        loaded = peft.PeftModel.from_pretrained(
            transformers.LlamaForCausalLM.from_pretrained(model_directory, dtype=torch.float32),
            work / "run" / "adapter").eval()
        merged = transformers.LlamaForCausalLM.from_pretrained(work / "run-original", dtype=torch.float32).eval()
        with torch.no_grad():
            report("our nf4 adapter in PEFT on the dense base, against our merge into the original weights",
                   (loaded(ids).logits - merged(ids).logits).abs().max().item(), 1e-4)
    print(f"{'FAILED' if failures else 'passed'}: torch {torch.__version__}, peft {peft.__version__}, "
          f"bitsandbytes {bitsandbytes.__version__}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
