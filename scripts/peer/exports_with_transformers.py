#!/usr/bin/env python3
"""What lora-export writes, loaded by the tools it is written for:

  1. the Hugging Face directory, whole and in shards, by transformers: no key missing or left over, tied heads tied,
     generation_config and tokenizer carried along, the same bits in shards as whole, logits of PEFT's own merge;
  2. the TorchScript file by torch.jit in Python, float32 and bfloat16, beside which the directory stands;
  3. torch.export starts from that directory.

    scripts/peer/exports_with_transformers.py --lora-train build/lora-train --data ../shared/data
"""

import json
import pathlib
import shutil
import sys
import tempfile

import common
import peft
import torch
import transformers


def main():
    options = common.parse(__doc__)
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()
    check, report = verdicts.check, verdicts.report

    def load(directory):
        model, info = transformers.AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True, dtype="auto")
        check(f"{directory.parent.name}/{directory.name}: transformers finds every key and no other",
              not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), str(info))
        return model.eval()

    shape = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                  max_position_embeddings=256, bos_token_id=1, eos_token_id=2, initializer_range=0.2)
    cases = [
        ("tied", transformers.LlamaConfig(vocab_size=520, tie_word_embeddings=True, **shape), torch.float32),
        ("untied", transformers.LlamaConfig(vocab_size=512, **shape), torch.float32),
        ("qwen2", transformers.Qwen2Config(vocab_size=512, **shape), torch.bfloat16),
    ]
    with tempfile.TemporaryDirectory() as directory, torch.no_grad():
        ids = torch.arange(3, 63)[None] * 7 % 512
        for name, config, dtype in cases:
            work = pathlib.Path(directory) / name
            torch.manual_seed(5)
            model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
            model.save_pretrained(work / "base")
            generation = {"bos_token_id": 1, "eos_token_id": [2, 3], "temperature": 0.7, "do_sample": True}
            (work / "base/generation_config.json").write_text(json.dumps(generation))
            shutil.copy(options.data / "stories260k/tokenizer.model", work / "base")
            adapted = peft.get_peft_model(model, peft.LoraConfig(
                r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False))
            for key, parameter in adapted.named_parameters():
                if "lora_" in key:
                    torch.nn.init.normal_(parameter, 0, 0.05)
            adapted.save_pretrained(work / "adapter")
            merged = adapted.merge_and_unload().eval()
            wanted = merged(ids).logits.float()
            scale = wanted.abs().max().item()
            bound = 1e-5 if dtype == torch.float32 else 2e-2
            place = ("--model", str(work / "base"))

            programs.export(work / "adapter", "torchscript", work / "merged.pt", *place)
            whole = load(work / "merged")
            sharded = load(programs.export(work / "adapter", "huggingface", work / "shards", "--max-shard-size", "60KB", *place))
            files = sorted((work / "shards").glob("model-*.safetensors"))
            check(f"{name}: several shards", len(files) > 2, str(len(files)))
            report(f"{name}: directory beside the TorchScript file", (whole(ids).logits.float() - wanted).abs().max().item() / scale,
                   bound)
            check(f"{name}: shards have the same bits", torch.equal(whole(ids).logits, sharded(ids).logits))
            check(f"{name}: head {'tied' if config.tie_word_embeddings else 'of its own'}",
                  (whole.lm_head.weight is whole.model.embed_tokens.weight) == config.tie_word_embeddings)
            check(f"{name}: dtype and vocabulary", whole.dtype == dtype and whole.config.vocab_size == config.vocab_size)
            check(f"{name}: generation_config", whole.generation_config.eos_token_id == [2, 3] and
                  whole.generation_config.temperature == 0.7)
            check(f"{name}: tokenizer", (work / "shards/tokenizer.model").read_bytes() ==
                  (work / "base/tokenizer.model").read_bytes())
            script = torch.jit.load(work / "merged.pt")
            found = script(ids)
            check(f"{name}: TorchScript's dtype", found.dtype == dtype)
            report(f"{name}: TorchScript in Python", (found.float() - wanted).abs().max().item() / scale, bound)

            class Logits(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.model = whole

                def forward(self, input_ids):
                    return self.model(input_ids=input_ids, use_cache=False).logits

            program = torch.export.export(Logits(), (ids,))
            report(f"{name}: torch.export", (program.module()(ids).float() - whole(ids).logits.float()).abs().max().item() / scale,
                   1e-5)
    return verdicts.end(peft)


if __name__ == "__main__":
    sys.exit(main())
