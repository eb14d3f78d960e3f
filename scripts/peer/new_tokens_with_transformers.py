#!/usr/bin/env python3
"""Tokens that a model did not have, here and in transformers and PEFT, with a tied and with a separate head:

  1. a run with model.new_tokens: its tokenizer by AutoTokenizer, its adapter by PEFT on a resized base, its merged model
     and TorchScript file have the same logits;
  2. an adapter that PEFT saved of a resized model, with the tokenizer beside it, exported here.

    scripts/peer/new_tokens_with_transformers.py --lora-train build/lora-train
"""

import json
import pathlib
import sys
import tempfile

import common
import peft
import torch
import transformers

TOKENS = ["<|ask|>", "<|end|>"]
TOKENIZER = json.loads((common.ROOT / "tests/golden/tokenizers/llama3.json").read_text())["tokenizer"]
SHAPE = dict(vocab_size=502, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, bos_token_id=500, eos_token_id=501,
             initializer_range=0.2)


def main():
    options = common.parse(__doc__, needs_data=False)
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()
    ids = torch.tensor([[500, 5, 502, 77, 503, 9, 501, 502]])

    def resized(base, rows):
        model = transformers.AutoModelForCausalLM.from_pretrained(base)
        model.resize_token_embeddings(rows)
        return model.eval()

    def distance(found, expected):
        return (found - expected).abs().max().item() / expected.abs().max().item()

    with tempfile.TemporaryDirectory() as directory:
        for tied in (True, False):
            name, work = "tied" if tied else "separate", pathlib.Path(directory) / str(tied)
            torch.manual_seed(5)
            base = work / "base"
            transformers.LlamaForCausalLM(transformers.LlamaConfig(tie_word_embeddings=tied, **SHAPE)).save_pretrained(base)
            (base / "tokenizer.json").write_text(json.dumps(TOKENIZER))
            (base / "tokenizer_config.json").write_text(json.dumps(
                {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}))
            reference = transformers.AutoTokenizer.from_pretrained(base)
            reference.add_tokens(TOKENS, special_tokens=True)
            rows = work / "rows.jsonl"
            rows.write_text("".join(json.dumps({"prompt": f"<|ask|>after {i}", "completion": f"{i + 1}<|end|>"}) + "\n"
                                    for i in range(8)))

            adapter = {"rank": 4, "target_modules": ["q_proj", "v_proj"]}
            if not tied:
                adapter["modules_to_save"] = ["embed_tokens", "lm_head"]
            data = {"train": [{"path": str(rows), "format": "completion"}], "allow_special_tokens": True}
            run = work / "run"
            programs.train(common.write_recipe(
                work / "recipe.yaml", model=base, adapter=adapter, data=data, output=run, new_tokens=TOKENS,
                training=common.in_order(4, 4, 64, 1e-2), export=["peft", "huggingface", "torchscript"]))
            text = "<|ask|>after 3<|end|>"
            for place in ("adapter", "merged"):
                own = transformers.AutoTokenizer.from_pretrained(run / place)
                verdicts.check(f"{name}: {place}/'s tokenizer", own(text).input_ids == reference(text).input_ids and
                               len(own) == len(reference), str(own(text).input_ids))
            with torch.no_grad():
                merged = transformers.AutoModelForCausalLM.from_pretrained(run / "merged")(ids).logits
                loaded = peft.PeftModel.from_pretrained(resized(base, len(reference)), run / "adapter").eval()
                verdicts.report(f"{name}: trained here, read by PEFT", distance(loaded(ids).logits, merged), 1e-5)
                verdicts.report(f"{name}: TorchScript", distance(torch.jit.load(run / "merged.pt")(ids), merged), 1e-5)

            more = {"trainable_token_indices": [502, 503]} if tied else {"modules_to_save": ["embed_tokens", "lm_head"]}
            theirs = peft.get_peft_model(resized(base, len(reference)), peft.LoraConfig(
                r=4, lora_alpha=8, target_modules=["q_proj"], task_type="CAUSAL_LM", **more))
            for parameter in theirs.parameters():
                if parameter.requires_grad:
                    parameter.data.add_(torch.randn_like(parameter) * 0.1)
            theirs.save_pretrained(work / "theirs")
            reference.save_pretrained(work / "theirs")
            exported = programs.export(work / "theirs", "huggingface", work / "exported", "--model", base)
            with torch.no_grad():
                verdicts.report(f"{name}: of PEFT, merged here", distance(
                    transformers.AutoModelForCausalLM.from_pretrained(exported)(ids).logits, theirs.eval()(ids).logits), 1e-5)
            own = transformers.AutoTokenizer.from_pretrained(exported)
            verdicts.check(f"{name}: of PEFT, its tokenizer", own(text).input_ids == reference(text).input_ids)
    return verdicts.end(peft)


if __name__ == "__main__":
    sys.exit(main())
