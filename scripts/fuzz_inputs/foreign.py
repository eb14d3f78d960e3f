"""Seeds of other trainers' files."""

import re

from fuzz_inputs.formats import ROOT
from fuzz_inputs.runs import YAML

# What each tool's file begins with.
TOOLS = ["base_model: a\n", "base_model: a\nadapter: lora\n", "model_name_or_path: a\nstage: sft\n", "model_name_or_path: a\n",
         "model_name_or_path: a\nuse_peft: true\n"]
VALUES = ["true", "false", "auto", "", "3", "0.5", "-1", "1e99", "x", "'1'", "[a, b]", "[]", "{a: 1}", "a,b", "[[a], {b: [c]}, ~]", "0", "1000000000000"]
# Words that some keys have a meaning for.
WORDS = {
    "adapter": ["lora", "qlora", "full", "ia3"], "finetuning_type": ["lora", "full", "freeze"], "quantization_bit": ["4", "8"],
    "quantization_method": ["bnb", "gptq"], "stage": ["dpo", "kto", "rm", "sft", "pt", "ppo"],
    "rl": ["dpo", "ipo", "orpo", "simpo", "kto", "grpo"], "pref_loss": ["hinge", "sigmoid", "kto_pair", "ipo", "simpo"],
    "loss_type": ["nll", "dft", "kto", "apo_zero_unpaired", "apo_zero", "[sigmoid, sft]", "ipo"], "pissa_iter": ["-1", "4"],
    "lora_target": ["all", "'q_proj,v_proj'", "[q_proj, v_proj]"], "lora_target_modules": ["all-linear", "[q_proj]"],
    "warmup_steps": ["0.1", "10"], "eval_steps": ["0.1", "10"], "save_steps": ["0.1", "10"], "max_steps": ["-1", "10", "1000"],
    "eval_strategy": ["steps", "epoch", "no"], "evaluation_strategy": ["steps", "no"], "save_strategy": ["steps", "epoch", "no"],
    "logging_steps": ["0", "5"], "report_to": ["none", "tensorboard", "[wandb, tensorboard]"], "chat_template": ["default", "llama3", "chatml"],
    "template": ["default", "qwen", "llama3"], "optimizer": ["adamw_torch", "adamw_8bit", "lion"], "optim": ["adamw_torch", "paged_adamw_8bit"],
    "lr_scheduler": ["cosine", "linear"], "lr_scheduler_type": ["cosine", "constant_with_warmup", "polynomial"], "beta": ["0.2"],
    "datasets": ["[{path: a, type: alpaca}]", "[{path: a, type: chat_template, roles: x}, {path: b, type: completion}, {type: x}, 3]",
                 "[{path: [a], data_files: b.jsonl, type: sharegpt.load_role}]", "[a, b]", "[{path: a, type: {x: y}, ds_type: json}]",
                 "[" + ", ".join("{path: d%d}" % i for i in range(12)) + "]", "{path: a}"],
    "dataset": ["a", "'a, b'", "[a, b]"], "dataset_name": ["a", "org/b"], "eval_dataset": ["a", "'a,b'"], "test_datasets": ["[{path: a, type: text}]"],
    "tokens": ["[<a>, <b>]"], "special_tokens": ["{pad_token: x}"], "val_set_size": ["0.1", "20", "1"], "val_size": ["0.1"],
}
# Keys that count together.
TOGETHER = """base_model: a|adapter: lora|lora_r: 8|lora_alpha: 16|lora_dropout: 0.1|max_steps: 1000|datasets: [{path: a, type: completion}]
base_model: a|adapter: lora|lora_r: 8|lora_dropout: 0.1|rl: simpo|rl_beta: 0.2|max_steps: 20
base_model: a|adapter: qlora|lora_model_dir: b|max_steps: 100|warmup_steps: 3|streaming: true
base_model: a|adapter: |load_in_8bit: true|load_in_4bit: true|batch_size: 4|micro_batch_size: 2
base_model: a|adapter: full|lora_r: 8|lora_target_linear: true|bf16: true|fp16: true|float16: true
base_model: a|bf16: false|lora_target_linear: true|lora_target_modules: [q_proj]|learning_rate: 1e-4|save_steps: 5
model_name_or_path: a|stage: rm|lora_dropout: 0.1|lora_rank: 8|finetuning_type: lora|evaluation_strategy: steps|logging_steps: 7
model_name_or_path: a|stage: dpo|lora_dropout: 0.1|lora_rank: 8|disable_dropout: false|pissa_init: true|pissa_iter: -1|pref_beta: 0.3
model_name_or_path: a|stage: pt|dataset: x|pure_bf16: true|finetuning_type: full|save_total_limit: 3|quantization_bit: 8
model_name_or_path: a|stage: sft|fp16: true|bf16: false|eval_strategy: steps|warmup_ratio: 0.1|pissa_init: true|use_dora: true
model_name_or_path: a|use_peft: true|lora_r: 8|beta: 0.1|loss_type: apo_zero|disable_dropout: false|lora_dropout: 0.1
model_name_or_path: a|use_peft: true|center_rewards_coefficient: 0.1|lora_dropout: 0.1|eval_strategy: steps|packing: true
model_name_or_path: a|desirable_weight: 2.0|gradient_accumulation_steps: 8|per_device_train_batch_size: 1000000000|dtype: auto
model_name_or_path: a|load_in_4bit: true|use_peft: true|max_length: 99|assistant_only_loss: true|dataset_name: a|eval_dataset: b""".splitlines()


def foreign_recipe_seeds():
    tests = (ROOT / "tests/recipe/test_convert.cpp").read_text()
    yield from (text.encode() for text in re.findall(r'R"\((.*?)\)"', tests, re.S))
    sources = "".join((ROOT / f"lora/recipe/{name}.cpp").read_text() for name in ("convert", "foreign_gaps", "needless_keys", "synonyms"))
    keys = dict.fromkeys(re.findall(r'"([a-z_0-9]{3,})"', sources))
    for number, key in enumerate([*keys, *(key for key in WORDS if key not in keys)]):
        some = [VALUES[(number * 3 + i) % len(VALUES)] for i in range(3)]
        for i, value in enumerate([*WORDS.get(key, []), *some]):
            for tool in TOOLS if key in WORDS else [TOOLS[(number + i) % len(TOOLS)]]:
                lines = [line for line in tool.splitlines() if not line.startswith(key + ":")]
                yield "\n".join([*lines, f"{key}: {value}\n"]).encode()
    yield from ("\n".join(line.split("|")).encode() for line in TOGETHER)
    for text in YAML:
        yield (TOOLS[0] + text).encode()
    for path in ("x" * 300, "a/" * 3000, '"a\\0b"', '"#"', "'a: b'", '"\\n# x"', "[a]", "~", "-"):
        yield f"base_model: {path}\ndatasets: [{{path: {path}}}]\n".encode()
        yield f"model_name_or_path: {path}\ndataset: {path}\n".encode()
    yield b"model: {path: a}\nbase_model: a\n"
    yield b"[]"
    yield b""
    yield b"a: \xff"
