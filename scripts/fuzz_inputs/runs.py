"""Seeds of what a run is described by, and of what it leaves: recipes and checkpoints."""

import json
import re

from fuzz_inputs.formats import ROOT, as_json, safetensors, variants

MINIMAL = b"model: {path: m}\ndata: {train: [{path: a.jsonl, format: alpaca}]}\noutput_dir: o\ntraining: {max_steps: 3}\n"
# Of a model that is there, and of data.
REAL = (b"model: {path: tests/golden/models/default}\noutput_dir: o\ntraining: {max_steps: 3}\n"
        b"data: {train: [{path: recipes/quickstart/data/train.jsonl, format: completion}]}\n")
# For every key; a value of another kind, or one beyond its range.
OTHER_VALUES = ["null", "", "[]", "{}", "[1, [2]]", "{a: 1}", "x", "'1'", "-1", "0", "1", "0.5", "1e999", "010", "0x1f", "99999999999999999999",
                "true", ".nan"]
ADAPTERS = """adapter: {method: adalora, target_modules: '.*q_proj', rank_pattern: {q_proj: 4}, bias: all}
adapter: {target_modules: [], exclude_modules: all-linear, layers_pattern: [layers]}
adapter: {target_modules: '.*', layers_to_transform: [0]}
adapter: {target_modules: q_proj}
adapter: {target_modules: 'q_proj, v_proj'}
adapter: {target_modules: all_linear}
adapter: {target_modules: all}
adapter: {target_modules: {a: 1}}
adapter: {target_modules: [q_prj, x], exclude_modules: [y], modules_to_save: [z], rank_pattern: {k: 1}, alpha_pattern: {l: 1}}
adapter: {target_modules: [q_proj], layers_to_transform: [9], rank_pattern: {"(": 1}}
adapter: {target_modules: "("}
adapter: {target_modules: [norm]}
adapter: {rank: 99}
adapter: {rank: 99, rank_pattern: {q_proj: 2, "": 1}}
adapter: {method: rslora, use_rslora: false}
adapter: {method: dora, init: pissa, lora_bias: true}
adapter: {init: pissa, lora_bias: true, adalora: {tinit: 1}}
adapter: {method: adalora, rank: 12, use_rslora: true, init: olora}
adapter: {method: full, rank: 4, alpha: 2, dropout: 0.1}
adapter: {method: full, target_modules: [q_proj], modules_to_save: [norm]}
adapter: {init_from: tests/golden/peft_options/layers}
adapter: {init_from: tests/golden/peft_options/unmatched, rank: null, ignored_options: [x]}
adapter: {init_from: tests/golden/adalora/end, rank: 4}
adapter: {init_from: nowhere, ignored_options: x}
adapter: {ignored_options: [a]}
adapter: {trainable_token_indices: [1, 1]}
adapter: {lora_rnak: 3, r: 4, lora_alpha: 3, learning_rate: 1}
model: {path: tests/golden/models/default, quantization: nf4, double_quantization: false}
model: {path: tests/golden/models/default, quantization: int8, double_quantization: false, new_tokens_init: mean}
model: {path: tests/golden/models/classifier, head: sequence_classification}
model: {path: tests/golden/models/tied, new_tokens: [a, b]}
model: {path: "tests/golden/models/defaul"}
model: {path: org/name}
training: {epochs: 1, max_steps: 3}
training: {}
training: {max_steps: 3, warmup_steps: 1, warmup_ratio: 0.1, micro_batch_size: 99, early_stopping_patience: 2, keep_best: true}
training: {max_steps: 3, eval_every: 2, early_stopping_patience: 1, loraplus_lr_ratio: 4, best_by: accuracy}
training: {max_steps: 3, lr_schedule: constant, min_lr_ratio: 0.1, micro_batch_size: 1, memory_limit: 2GiB}
training: {max_steps: 3, memory_limit: 12 parsecs}
training: {max_steps: 3, lr_schedule: cosine, min_lr_ratio: 0.1, memory_limit: 1500 MB, learning_rates: {head: 1e-3, x: -1}}
training: {max_steps: 3, objective: sequence_classification}
evaluation: {exact_match: 2, show: 1, max_new_tokens: 3}
evaluation: {show: 9, max_new_tokens: 9, generate: 2}
distributed: {timeout: 10m, by: adapters}
distributed: {timeout: 0.5s}
distributed: {timeout: 1 h}
export: [peft, gguf, peft]
export: peft
export: [huggingface, torchscript, x]
logging: [tb]
adapters: []
adapters: x
adapters: [{name: a}, {name: a, data: {train: [{path: b}]}}, x, {}, {name: [1]}, {name: a/b, model: {}, output_dir: x, foo: 1}]
adapters: [{name: a, training: {epochs: 1, threads: 2, warmup_ratio: 0.1}, data: {validation_split: 0.1, train: [{path: b}]}}]
adapters: [{name: a, adapter: {method: full}, data: {train: [{path: b}]}}, {name: b, export: [gguf], data: {train: [{path: c}]}}]
""".splitlines()
DATA = """{train: [], validation: [{path: -}]}
{train: [{path: -}, {path: -}]}
{train: [{path: -}], validation_split: 0.1}
{train: [{path: a}], validation: [{path: -}], validation_split: 5, streaming: true}
{train: [{path: a, weight: 2.0}], validation: [{path: b, weight: 2.0, epochs: 3.0}]}
{train: [{path: a, epochs: 3.0}], mixing: {strategy: weights, temperature: 2.0}}
{train: [{path: a, weight: 2.0}], mixing: {strategy: temperature, temperature: 2.0, by: tokens}}
{train: [{path: a}], mixing: {by: tokens, temperature: 2.0}}
{train: [{path: a, epochs: 2.0}], streaming: true, mixing: {strategy: weights}, cleaning: {exact_duplicates: drop, near_duplicates: {action: off}}}
{train: [{path: a}], streaming: true, shuffle_buffer: 5}
{train: [{path: a}], shuffle_buffer: 5}
{train: [{path: a, format: chat, fields: {messages: x, "y": z}}]}
{train: [{path: a, format: alpaca, fields: {instructon: x}}]}
{train: [{path: a, format: classification, template: chatml}]}
{train: [{path: a, format: text, template: chatml}]}
{train: [{path: a, format: preference, train_on: chosen}, {path: b, format: preference}]}
{train: [{path: a, format: text, train_on: chosen}], train_on: chosen}
{train: a.jsonl}
{train: [a.jsonl]}
{train: {path: a}}
{train: [{path: "recipes/quickstart/data/*.jsonl"}, {path: "x*.jsonl"}, {path: recipes/quickstart/data/trian.jsonl}]}
{train: [{path: a}], template: "{{ messages }}"}
{train: [{path: a, template: b.jinja}], template: chatml}
{train: [{path: a}], template: chatm, on_error: raise, overlong: cut}
{train: [{path: a}], max_errors: 5, cleaning: {length: drop, answer_ratio: drop}}
{train: [{path: a}], cleaning: {length: {min_chars: 9, max_chars: 3}, answer_ratio: {min_ratio: 2.0, max_ratio: 1.0}}}
{train: [{path: a}], on_error: skip, max_errors: 5, cleaning: {length: {max_chars: 3, action: 'off'}}}""".splitlines()
PREFERENCES = ["beta: 0.3", "loss: hinge", "loss: robust", "loss: apo_zero", "simpo_gamma: 1.0", "cpo_alpha: 0.5", "desirable_weight: 2.0",
               "undesirable_weight: 2.0", "sft_weight: 0.5", "center_rewards_coefficient: 0.1", "label_smoothing: 0.1",
               "label_smoothing: 0.5", "reference: initial", "reference: none", "share_prompt: false"]
OBJECTIVES = ["causal_lm", "dpo", "ipo", "orpo", "simpo", "cpo", "kto", "reward"]
# YAML that is none, or that a recipe cannot have.
YAML = ["a: b: c", "a: 1\n  b: 2", "- a\nb: 1", "a: [1", "a: {b", "a: *x", "a: &x 1", "a: !!map {}", "a: !x 1", "a: |\n  text\n\n  more\n",
        "a: >-\n  folded\n", "? [1]\n: 2", "? {a: 1}\n: 2", "a: 1\na: 2\na: {b: 1}", "--- 1\n--- 2", "a:\n\tb: 1", "a: @b", "a: %b", "a: `b",
        "a: 'b", 'a: "b', 'a: "\\x41\\u00e9\\0"', "a: \x01", "a: \x7f", "[]", "1", "~", "", "#", "null: 1", "\ufeffa: 1", "a: 1 # é", "<<: {a: 1}",
        "base_model: x\nadapter: qlora\ndatasets: []", "model_name_or_path: x\nstage: sft", "a:\n - b\n  - c", "model_name_or_path: x\n"]


# Values of one key at a time, as overrides.
ONE_VALUE = {
    "data.cache_dir": ["./x", "../x", "/x", "'it''s'", '"a\\x01\\x7f\\\\b\\""', '"a\\0b"', "1.5", "'1e5'", "'1E+5'", "'1e'", "'.inf'",
    "é日"], "training.max_steps": ["+5", "1_000", "1:30", "0o17", "0b1", "+05", "3000000000", "1x"],
    "training.seed": ["99999999999999999999", "-1", "'1'", "010"], "training.learning_rate": ["nan", "NaN", "inf", "Infinity", "1e400",
    "1e-400", "+1e-4", "01.5", ".nan", "1e"], "training.micro_batch_size": ["auto", "x", "'2'"], "training.memory_limit": ["1e30", "0",
    "0.5KiB", "nanGB"], "distributed.timeout": ["1e9", "-1h", "5", "x"], "adapter.target_modules": ["lm_head", "score", "model.layers.0",
    "'q_proj , v_proj'", "'q_proj,'", ".", "Q_9", "['']", "null"], "adapter.rank_pattern": ["{q_proj: ~}", "~"],
    "adapter.rank_pattern.q_proj": ["null", "3"], "adapter.alpha_pattern": ["{'': 1.0}", "{q: 1.5}", "~"],
    "adapter.alpha_pattern.q": ["null"], "data.train.0.fields": ["{'': x}", "~", "{prompt: a, completion: ~}"],
    "data.train.0.fields.prompt": ["null"], "data.train.0.weight": ["2.0"], "data.train.0.epochs": ["2.0"],
    "data.train.0.template": ["null"], "data.train.0.train_on": ["null"], "data.train.00.path": ["x"], "data.train.0x.path": ["x"],
    "data.train.99999999999999999999.path": ["x"], "adapter.modules_to_save": ["~"], "adapter.layers_to_transform": ["~"],
    "logging": ["~", "tensorboard"], "export": ["~", "[gguf]"], "model.new_tokens": ["~"], "adapter.exclude_modules": ["~"],
    "adapter": ["null"], "training": ["null"], "data": ["null"], "data.cleaning": ["~"], "data.mixing": ["~"],
    "data.cleaning.length": ["~", "x"], "data.cleaning.near_duplicates": ["~", "drop"], "data.cleaning.contamination": ["~"],
    "data.cleaning.answer_ratio": ["~"], "data.cleaning.exact_duplicates": ["drop"], "data.validation": ["~", "[]"],
    "data.train": ["null", "x"], "training.preference": ["~", "x"], "training.preference.x": ["1"], "training.learning_rates": ["~"],
    "training.learning_rates.head": ["1e-3"], "adapter.adalora": ["~", "[1]"], "evaluation": ["~", "1"], "distributed": ["~", "x"],
    "model": ["~", "m"], "model.device": ["cuda:1", "gpu"], "model.dtype": ["int3"], "training.optimizer": ["adamw_torch"],
    "training.lr_schedule": ["constant_with_warmup"], "training.objective": ["sft"], "output_dir": ["~"], "adapter.init_from": ["~"],
    "adapter.rank": ["null"], "flash_attention": ["true"], "wandb_project": ["x"], "training.liger_kernel": ["true"], "r": ["8"],
    "training.warmup_steps": ["0.1"], "adapters": ["~"], "adapters.0.name": ["a"], "data.validation_split": ["0.5", "5", "1.5"],
}
# In place of what MINIMAL has of the same sections.
SECTIONS = """adapter: {method: full}|model: {path: m, quantization: nf4}
adapter: {method: full}|training: {max_steps: 3, loraplus_lr_ratio: 4.0}
evaluation: {exact_match: 2}|model: {path: m, head: sequence_classification}
training: {max_steps: 3, objective: dpo}|model: {path: m, head: sequence_classification}
training: {max_steps: 3, objective: dpo, preference: {loss: robust, label_smoothing: 0.1}}|data: {train: [{path: a, format: preference}]}
export: [gguf]|adapter: {method: adalora, rank: 12}
export: [gguf, huggingface]|adapter: {method: full, modules_to_save: [lm_head]}
export: [gguf]|adapter: {bias: all, modules_to_save: [lm_head], lora_bias: true}
data: {train: [{path: a, weight: 2.0}], mixing: {strategy: concatenate}}
data: {train: [{path: a}], validation: [{path: b, weight: 2.0}], mixing: {strategy: weights}}
data: {train: [{path: a}], validation: [{path: b, epochs: 2.0}]}
data: {train: [{path: a}], streaming: true}|training: {epochs: 2}
data: {train: [{path: a}], streaming: true, cleaning: {exact_duplicates: 'off', near_duplicates: 'off', conflicting_answers: {action: 'off'}}}
data: {train: [{path: a}], streaming: true, cleaning: ~}
data: {train: [{path: a}], cleaning: {length: {action: 'off'}, answer_ratio: {min_ratio: 0.1, action: 'off'}}}
evaluation: {show: 3}
distributed: {by: adapters}|output_dir: ~
adapters: [{name: a, training: x, adapter: [1], data: {train: [{path: b}]}}]|data: ~
adapters: [{name: a, training: {epochs: 1, max_steps: 3}, data: {train: [{path: b}], validation: [{path: c}]}}]|data: {cleaning: ~}|training: x
adapters: [{name: a, data: {train: [{path: b}], validation: [{path: c}], validation_split: 0.1}}]|data: ~
adapters: [{name: a, training: {warmup_steps: 1, warmup_ratio: 0.1}, data: {train: [{path: b}]}, adapter: ~}]|data: ~|output_dir: [x]
adapters: [{name: a, data: {train: [{path: b}]}}]|data: {train: ~}|output_dir: ''
adapters: [{name: a, data: {train: [{path: b}]}}]|data: ~|outptu_dir: x|output_dir: ~
adapters: ~
model: ~|adapter: ~
data: {train: ~, validation: ~, mixing: ~}
training: ~|evaluation: ~|distributed: ~""".splitlines()


def keys_of(schema, path=""):
    """Each key of the recipe's schema with its names, as (key, words)."""
    for key, value in schema.get("properties", {}).items():
        inner = f"{path}.{key}" if path else key
        yield inner, re.findall(r'"(?:enum|const)": (?:\[([^\]]*)\]|"([^"]*)")', json.dumps(value))
        yield from keys_of(value, inner)
        if isinstance(value.get("items"), dict):
            yield from keys_of(value["items"], f"{inner}.0")


def recipe_seeds():
    yield from (path.read_bytes() for path in sorted((ROOT / "recipes").rglob("*.yaml")))
    yield from (block.encode() for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/recipe.md").read_text(), re.S))
    yield MINIMAL
    yield REAL
    for text in YAML:
        yield text.encode()
        yield MINIMAL + text.encode()
    yield from (b"a: \xff", b"a: \xc3", b"a: \xe2\x82", b"x" * 500)
    for section in ADAPTERS:
        # In the place of the section of that name.
        name = section.split(":")[0].encode() + b":"
        for base in (MINIMAL, REAL):
            yield b"".join(line for line in base.splitlines(True) if not line.startswith(name)) + section.encode()
            if section.startswith("adapters"):
                yield b"".join(line for line in base.splitlines(True) if not line.startswith(b"data:")) + section.encode()
    for section in DATA:
        for more in (b"", b"evaluation: {exact_match: 1}", b"model: {path: m, head: sequence_classification}"):
            replaced = (b"data:", more.split(b":")[0] + b":") if more else (b"data:",)
            yield b"".join(line for line in MINIMAL.splitlines(True) if not line.startswith(replaced)) + b"data: " + section.encode() + b"\n" + more
    for line in SECTIONS:
        parts = line.encode().split(b"|")
        starts = tuple(part.split(b":")[0] + b":" for part in parts)
        for base in (MINIMAL, REAL):
            yield b"".join(part for part in base.splitlines(True) if not part.startswith(starts)) + b"\n".join(parts) + b"\n"
    for key, values in ONE_VALUE.items():
        for value in values:
            yield MINIMAL + f"\0{key}={value}".encode()
            yield REAL + f"\0{key}={value}".encode()
    inherited = REAL + b"adapter: {init_from: tests/golden/peft_options/layers}\n"
    for override in ("adapter.rank=null", "adapter.target_modules=null", "adapter.layers_pattern=null", "adapter.dropout=0.1",
                     "model.path=tests/golden/models/qwen2"):
        yield inherited + b"\0" + override.encode()
    for path in sorted((ROOT / "tests/golden/peft_options").iterdir()):
        yield REAL + f"adapter: {{init_from: tests/golden/peft_options/{path.name}}}\n".encode()
    yield REAL.replace(b"max_steps: 3", b"epochs: 2") + b"adapter: {method: adalora, rank: 12}\n"
    yield MINIMAL + "".join(f"k{i}: 1\n" for i in range(60)).encode()
    yield MINIMAL + b"output_dir: x\n"
    for text in ("# \u00e9\u65e5\U0001f600", "\t# x", "\t\n", " \t\r\n", "flash_attention: true", "wandb_name: x"):
        yield MINIMAL + text.encode() + b"\n"
    yield from (MINIMAL + b"# " + bad for bad in (b"\xf5", b"\xf0\x9f", b"\xe2\x28", b"\x80", b"\xc0"))
    pairs = MINIMAL.replace(b"alpaca", b"preference")
    for objective in OBJECTIVES:
        for preference in PREFERENCES:
            training = f"training: {{max_steps: 3, objective: {objective}, preference: {{{preference}}}, batch_size: 1}}"
            yield pairs.replace(b"training: {max_steps: 3}", training.encode())
        yield pairs.replace(b"max_steps: 3", f"max_steps: 3, objective: {objective}, best_by: margin".encode()) + b"export: [gguf]\n"
        odd = f"max_steps: 3, objective: {objective}".encode()
        yield MINIMAL.replace(b"max_steps: 3", odd).replace(b"data: {", b"data: {streaming: true, train_on: all, overlong: split, ")
    schema = json.loads((ROOT / "recipes/recipe.schema.json").read_text())
    for number, (key, words) in enumerate(keys_of(schema)):
        if key.startswith("adapters."):
            continue  # as at the top
        names = {word for found in words for part in found for word in re.findall(r"[\w.-]+", part)}
        # A few of the other values for each key: between them, the keys have all.
        some = [OTHER_VALUES[(number * 5 + i) % len(OTHER_VALUES)] for i in range(5)]
        for value in [*sorted(names), *some]:
            yield MINIMAL + f"\0{key}={value}".encode()
    for override in ("a", "=1", "a.=1", ".a=1", "data.train.0.path=-", "data.train.9.path=x", "data.train.x=1", "output_dir.x=1", "adapter={}",
                     "data.train.0.path=*.jsonl", "training.max_steps=[", "data.validation.0.path=x", "output_dir=~/x", "output_dir=null",
                     "training.learning_rate=1e-3"):
        yield MINIMAL + b"\0" + override.encode()


def manifest_file(manifest, name="", kind=0):
    """`kind` as tests/fuzz/manifest.cpp has it: 1 a file, 2 a directory, 3 and 4 links to these, 5 a named pipe."""
    return bytes([kind]) + (name if isinstance(name, bytes) else name.encode()) + b"\0" + manifest


def manifest_seeds():
    entry = {"size": 2, "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
    whole = {"format_version": 1, "step": 7, "files": {"state.json": entry}}
    changes = {"format_version": [2, "x", None, 1.5, True], "step": [8, -1, "7"], "files": [{}, [], None, "x", {"state.json": {}},
               {"state.json": 3}, {"missing": entry, "../x": entry}, {"/etc/passwd": entry}, {"": entry}, {"a/../../x": entry}, {".": entry},
               {"a/../state.json": entry}, {"x\0y": entry}, {"x" * 300: entry}, {"state.json/x": entry}]}
    entries = {"size": [3, -1, 2.0, "2", 2**64 - 1], "sha256": ["00", None, 3, entry["sha256"].upper()]}
    yield from (manifest_file(as_json(changed)) for changed in variants(whole, changes))
    yield from (manifest_file(as_json(whole | {"files": {"state.json": changed}})) for changed in variants(entry, entries))
    for kind in range(6):
        for name in ("part", "größe", b"\xff\xfe", "...", "a b\n"):
            yield manifest_file(as_json(whole), name, kind)
        for listed in ("part", "part/part"):
            yield manifest_file(as_json(whole | {"files": {listed: entry}}), "part", kind)
    yield manifest_file(b"", "part", 2)
    yield manifest_file(b"[")
    yield manifest_file(b"[]")


def training_state_seeds():
    """A byte for the run (lora, adalora, full: the rest of a division by 3) and the file, then the file."""
    state = {"step": 1, "epoch": 0, "row": 5, "tokens": 40, "supervised_tokens": 20, "best_loss": None, "best_step": 0,
             "evaluations_without_gain": 0, "skipped_steps": 0, "skipped_in_row": 0}
    changes = {key: [None, "x", 1.5, -1, 2**62, 0] for key in state} | {"loss_scale": [1024.0, 0, "x"], "best_loss": [1.5, -1, 1e308, "x"]}
    for run in range(3):
        for changed in variants(state, changes):
            yield bytes([run]) + as_json(changed)
            if run == 0:
                yield bytes([run]) + as_json(changed | {"loss_scale": 512.0, "steps_at_scale": 3, "best_loss": 0.5})
        yield from (bytes([run]) + as_json({k: v for k, v in state.items() if k != key}) for key in state)
        labels = {"id2label": {"0": "even", "1": "odd"}, "label2id": {"even": 0, "odd": 1}}
        for changed in variants(labels, {"id2label": [{"0": "a", "1": "b"}, {"1": "a"}, {}, None, [], {"0": 1}, {"0": "a", "1": "a"}]}):
            yield bytes([3 + run]) + as_json(changed)
        yield bytes([3 + run]) + b"["
        for file in range(2, 6):
            code = bytes([3 * file + run])
            yield code + safetensors({"exp_avg.x": ("F32", [2], bytes(8))})
            yield code + safetensors({})
            yield code + b"x"
            for name in ("self_attn.q_proj.lora_A.weight", "mlp.down_proj.lora_B.weight", "self_attn.q_proj.lora_E"):
                yield code + safetensors({f"base_model.model.model.layers.0.{name}": ("F32", [4, 16], bytes(256))})
