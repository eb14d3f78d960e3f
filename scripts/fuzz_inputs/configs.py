"""Seeds of config.json, of adapter_config.json, and of its patterns."""

import json

from fuzz_inputs.formats import as_json, golden, variants

ROPES = [{"rope_type": kind, "factor": 2.0} for kind in ("default", "linear", "dynamic", "llama3", "yarn", "su", "x")]
ROPES += [{"type": "linear", "factor": 2.0}, {"rope_type": "linear"}, {"rope_type": "linear", "factor": -1}, {"rope_type": 1}]
ROPES += [{"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0},
          {"rope_type": "yarn", "factor": 0.5, "mscale": 1.0, "mscale_all_dim": 0.5, "truncate": False},
          {"rope_type": "yarn", "factor": 8.0, "attention_factor": 0.7, "beta_fast": 16, "beta_slow": 2},
          {"rope_type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [2.0, 2.0], "factor": 4.0},
          {"rope_type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [2.0, 0.0], "factor": 0.5},
          {"rope_type": "longrope", "short_factor": [1.0]}, {"rope_theta": 5e5, "partial_rotary_factor": 0.5},
          {"full_attention": {"rope_type": "default"}, "sliding_attention": {"rope_type": "linear", "factor": 8.0}},
          {"full_attention": {}}, "x"]
LABELS = [{"0": "a", "1": "b"}, {"0": "a"}, {"1": "a"}, {"0": 1}, {"0": ""}, {"0": "a", "1": "a"}, {}, ["a"]]
CONFIG_CHANGES = {
    "model_type": ["gemma3", "lama", "", 3], "vocab_size": [None, 0, 1.5, "x", 2**31 + 1, 2**25],
    "num_hidden_layers": [1, 1001], "num_attention_heads": [3, 2**15], "num_key_value_heads": [1, 3, None],
    "hidden_size": [18, 2**25], "intermediate_size": [2**25], "head_dim": [3, 2**25, None], "rms_norm_eps": [0, "x"],
    "tie_word_embeddings": [True, 1], "hidden_act": ["gelu", "swish", "relu", 3], "hidden_activation":
    ["gelu", "gelu_pytorch_tanh"], "attention_dropout": [0.1, "x"], "resid_pdrop": [0.1], "embd_pdrop": ["x"],
    "sliding_window": [None, 0, 16], "use_sliding_window": [True, False], "max_window_layers": [0, 1, -1],
    "bos_token_id": [[1, 2], -1, None, "x"], "eos_token_id": [[1, 2], [-1]], "quantization_config": [{}],
    "torch_dtype": ["bfloat16"], "dtype": [1], "rope_theta": [0, 1e6, None], "partial_rotary_factor": [0.5, 0.1, 0.2, 2],
    "rope_scaling": ROPES, "rope_parameters": ROPES, "query_pre_attn_scalar": [0, 16], "attn_logit_softcapping":
    [None, 50, -1], "final_logit_softcapping": [None, 30], "sliding_window_pattern": [2], "use_bidirectional_attention":
    [True, False], "no_rope_layers": [[1, 0], [1], [0, 1, 1, 1]], "no_rope_layer_interval": [2], "embedding_multiplier":
    [2, 0], "attention_multiplier": [2], "residual_multiplier": [2], "logits_scaling": [2], "mlp_bias": [True],
    "attention_bias": [True], "rope_local_base_freq": [1e5], "max_position_embeddings": [128],
    "original_max_position_embeddings": [32], "architectures": [["XForSequenceClassification"], [], [1], "x"],
    "layer_types": ["x", [1], ["full_attention"]],
}


def model_config_seeds():
    """Every family's config.json, and with one key changed at a time."""
    yield from golden("families/*/config.json") + golden("models/*/config.json")
    families = {}
    for text in golden("families/*/config.json") + golden("models/*/config.json"):
        config = json.loads(text)
        families.setdefault(config["model_type"], config)
    for config in families.values():
        layers = config["num_hidden_layers"]
        types = [[kind] * layers for kind in ("full_attention", "sliding_attention", "x")]
        yield from map(as_json, variants(config, CONFIG_CHANGES | {"layer_types": CONFIG_CHANGES["layer_types"] + types}))
        name = "".join(part.capitalize() for part in config["model_type"].split("_")).replace("Smollm", "SmolLM")
        classifier = config | {"architectures": [f"{name}ForSequenceClassification"]}
        yield from map(as_json, variants(classifier, {"id2label": LABELS, "problem_type": ["regression"]}))
        yield as_json(classifier | {"sliding_window": 16, "use_sliding_window": True, "layer_types": types[1]})
    yield b"[]"
    yield b"{"
    yield b"<!doctype html><html></html>"


ADAPTER_CHANGES = {
    "peft_type": ["IA3", None, 3, "ADALORA"], "use_dora": [True], "use_rslora": [True], "r": [0, None, 1.5, 70000, 20],
    "lora_alpha": [None, 1e300, "x", 3], "lora_dropout": [0.1, "x"], "bias": ["all", "lora_only", "lora", "x", 3, None],
    "target_modules": ["all-linear", ".*q_proj", "(", [], None, ["q_prj"], ["input_layernorm"], ["embed_tokens"],
                       ["lm_head"], ["model.layers.0.self_attn.q_proj", "down_proj"], [1], "nothing"],
    "exclude_modules": ["all-linear", ".*layers.0.*", ["q_proj"], ["x"], ["down_proj"]],
    "layers_to_transform": [0, [0, 1], [9], "x", []], "layers_pattern": ["layers", ["layers", "h"]],
    "rank_pattern": [{"q_proj": 4}, {"layers.0.*q_proj": 1, "q_proj": 2, "x": 1}, {"(": 1}, {"q_proj": -1}, {"q_proj": 1.5}],
    "alpha_pattern": [{"q_proj": 1.5}, {"q_proj": 1e300}, {"x": "y"}, {"k": 1}],
    "modules_to_save": [["lm_head"], ["norm"], ["score"], ["x"], "x", ["self_attn"], ["embed_tokens"]],
    "init_lora_weights": [True, False, None, "gaussian", "pissa", "pissa_niter_16", "olora", "eva", "corda", "loftq", "x", 3],
    "trainable_token_indices": [[1, 2], {"embed_tokens": [1]}, {"lm_head": [1]}, [99], [1, 1], {}, "x"],
    "task_type": ["SEQ_CLS", 3], "base_model_name_or_path": [None, 3], "ensure_weight_tying": [True], "lora_bias": [True],
    "ignored": [5], "unknown": [5, None, False, "none", [], {}], "alora_invocation_tokens": [[1]], "use_qalora": [True],
    "fine_tune_type": ["lora"], "lora_dtype": ["x"], "loftq_config": [{"a": 1}],
}


def adapter_config_seeds():
    """PEFT's own files, and a small one with one key changed at a time."""
    yield from golden("peft*/*/adapter_config.json") + golden("*/*/adapter_config.json")
    plain = {"peft_type": "LORA", "base_model_name_or_path": "b", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4,
             "target_modules": ["q_proj", "down_proj"]}
    pruned = plain | {"peft_type": "ADALORA", "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 1, "deltaT": 1, "beta1": 0.85,
                      "beta2": 0.85, "orth_reg_weight": 0.5, "total_step": 9, "rank_pattern": None}
    yield from map(as_json, variants(plain, ADAPTER_CHANGES))
    ranks = [{"model.layers.0.self_attn.q_proj.lora_E": [True, False, True, False]}, {"q_proj": [1]}, {"x": 2}]
    yield from map(as_json, variants(pruned, {"rank_pattern": ranks, "init_r": [0, "x"], "target_r": [5], "total_step": [None, -1],
                                              "beta1": [2], "use_rslora": [True], "init_lora_weights": ["pissa"]}))
    yield as_json(plain | {"task_type": "SEQ_CLS", "modules_to_save": ["score", "classifier"]})
    yield as_json(plain | {"layers_to_transform": [0], "target_modules": ".*q_proj"})
    yield as_json(plain | {"layers_to_transform": [1], "layers_pattern": "h"})
    yield as_json(plain | {"layers_to_transform": [1, 3], "layers_pattern": ["layers"]})
    yield as_json(plain | {"use_dora": True, "init_lora_weights": "pissa"})
    yield as_json({"fine_tune_type": "lora", "lora_parameters": {"rank": 8}})
    yield b"[]"
    yield b"x"


def module_pattern_seeds():
    for regex in (r".*\.(q|v)_proj", r"model\.layers\.(\d|1[0-5])\..*", r"(?!.*mlp).*proj$", r"(a|aa)+b", r"(?P<n>l)\w+(?P=n)", r"(?i)MODEL.*"):
        yield regex.encode() + b"\0" + b"model.layers.3.mlp.down_proj"
