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

Needs torch, transformers, peft, bitsandbytes (pip install --no-deps bitsandbytes) and sentencepiece 0.2.2.
"""

import pathlib
import sys
import tempfile

try:
    import bitsandbytes
except ImportError:
    print("skipped: this comparison needs bitsandbytes")
    sys.exit(77)
import common
import peft
import torch
from safetensors.torch import load_file

STEPS, ROWS, MAX_LENGTH, RATE = 30, 4, 384, 1e-3

UNTRAINED = 1e-20  # what remains in a merged weight of an adapter trained for one step at a rate of 1e-30


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
    options = common.parse(__doc__)
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()
    functional = bitsandbytes.functional
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        stories = common.Stories(options.data, work, STEPS * ROWS, MAX_LENGTH)
        torch.manual_seed(11)
        base = stories.base()
        dense = {name: tensor.clone() for name, tensor in base.state_dict().items()}
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        peft.get_peft_model(base, config).save_pretrained(work / "start")
        recipe = common.write_recipe(
            work / "recipe.yaml", model=stories.directory,
            adapter={"method": "lora", "rank": 8, "alpha": 16, "target_modules": "all-linear",
                     "init_from": str(work / "start")},
            data=common.rows_in_order(stories.rows), training=common.in_order(STEPS, ROWS, MAX_LENGTH, RATE),
            output=work / "run", export=["peft"])

        def train(output, *overrides):
            programs.train(recipe, f"output_dir={work / output}", *overrides)

        def export(run, into):
            merged = programs.export(work / run, "huggingface", work / f"{run}-{into}", "--merge-into", into)
            return load_file(merged / "model.safetensors")

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
        verdicts.report("int8 weights, against bitsandbytes", largest_difference(export("int8", "dequantized"), int8),
               UNTRAINED)
        train("nf4-plain", "model.quantization=nf4", "model.double_quantization=false", *untrained)
        verdicts.report("NF4 weights with plain scales, against bitsandbytes",
               largest_difference(export("nf4-plain", "dequantized"), lambda w: nf4(w, False)), UNTRAINED)
        train("nf4-nested", "model.quantization=nf4", *untrained)
        verdicts.report("NF4 weights with nested scales, against bitsandbytes, relative",
               largest_difference(export("nf4-nested", "dequantized"), lambda w: nf4(w, True)), 0.0141)

        train("run", "model.quantization=nf4")
        torch.manual_seed(11)
        packed = quantize(stories.base())
        reference = peft.PeftModel.from_pretrained(packed, work / "start", is_trainable=True)
        ours = common.losses(work / "run")
        verdicts.compare_losses("", ours, common.reference_losses(
            reference, stories.samples, common.adamw(reference, RATE), STEPS, ROWS), 1e-3)
        verdicts.check("the loss falls", ours[-1] < ours[0])

        export("run", "original")
        loaded = peft.PeftModel.from_pretrained(stories.base(), work / "run" / "adapter").eval()
        merged = common.base_model(work / "run-original").eval()
        with torch.no_grad():
            verdicts.report("our nf4 adapter in PEFT on the dense base, against our merge into the original weights",
                            common.largest(loaded(stories.ids).logits - merged(stories.ids).logits), 1e-4)
    return verdicts.end(peft, bitsandbytes)


if __name__ == "__main__":
    sys.exit(main())
