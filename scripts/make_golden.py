#!/usr/bin/env python3
"""Writes tests/golden/: small random models with the logits that transformers computes for them, the modules that PEFT
picks for a list of patterns, what PEFT's methods compute and learn, adapters and what PEFT combines them to,
classifiers, and weights as bitsandbytes encodes them. Run again after a change here:

    pip install torch==2.13.0 transformers peft==0.21.2 bitsandbytes==0.50.2
    scripts/make_golden.py
"""

import json
import pathlib
import shutil
import tempfile

import bitsandbytes.functional
import peft
import safetensors.torch
import torch
import transformers
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, Qwen2Config, Qwen2ForCausalLM,
                          Qwen2ForSequenceClassification)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"

SHAPE = dict(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2)

MODELS = {
    "default": (LlamaForCausalLM, LlamaConfig(**SHAPE)),
    "tied": (LlamaForCausalLM, LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "head_dim": (LlamaForCausalLM, LlamaConfig(**SHAPE, head_dim=6)),
    "biases": (LlamaForCausalLM, LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True)),
    "rope_linear": (LlamaForCausalLM, LlamaConfig(**SHAPE, rope_parameters={
        "rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0})),
    "rope_llama3": (LlamaForCausalLM, LlamaConfig(**{**SHAPE, "head_dim": 16}, rope_parameters={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32, "rope_theta": 500000.0})),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SHAPE, rms_norm_eps=1e-5, tie_word_embeddings=True)),
}


def write_models():
    for name, (cls, config) in MODELS.items():
        torch.manual_seed(len(name))
        model = cls(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # larger than initial values, so that every part counts
                parameter.add_(torch.randn_like(parameter) * 0.3)
        directory = GOLDEN / "models" / name
        shutil.rmtree(directory, ignore_errors=True)
        model.save_pretrained(directory)
        (directory / "generation_config.json").unlink(missing_ok=True)
        ids = torch.randint(3, config.vocab_size, (2, 40))
        with torch.no_grad():
            logits = model(ids).logits
            greedy = model.generate(ids[:1, :6], max_new_tokens=12, do_sample=False, eos_token_id=None,
                                    pad_token_id=0)[0, 6:]
        expected = {"input_ids": ids.tolist(), "logits_last": logits[:, -1].tolist(),
                    "logits_sum": logits.double().sum(-1).tolist(), "greedy_6_12": greedy.tolist()}
        (directory / "expected.json").write_text(json.dumps(expected) + "\n")


MATCHES = [
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": ["self_attn.k_proj"]},
    {"target_modules": ["model.layers.1.mlp.up_proj"]},
    {"target_modules": r".*\.layers\.[02]\..*(gate|down)_proj"},
    {"target_modules": r".*self_attn\.(q|k)_proj$"},
    {"target_modules": "all-linear"},
    {"target_modules": "all-linear", "exclude_modules": ["o_proj", "model.layers.0.mlp.up_proj"]},
    {"target_modules": ["q_proj", "up_proj"], "exclude_modules": r".*layers\.1\..*"},
    {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [0, 2]},
    {"target_modules": ["q_proj", "lm_head"]},
    {"target_modules": ["q_proj", "lm_head"], "modules_to_save": ["lm_head"]},
    {"target_modules": ["q_proj", "k_proj"], "rank_pattern": {"k_proj": 4, r"layers\.1\..*": 2}},
    {"target_modules": ["q_proj", "k_proj"], "alpha_pattern": {r"model\.layers\.[01]\.self_attn\.q_proj": 5, "q_proj": 7}},
    {"target_modules": ["o_proj"], "rank_pattern": {"_proj|o_proj": 3}},
]


def write_matches():
    cases = []
    for options in MATCHES:
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "num_hidden_layers": 3}))
        config = peft.LoraConfig(r=8, lora_alpha=16, task_type="CAUSAL_LM", **options)
        wrapped = peft.get_peft_model(model, config).base_model.model
        modules = {}
        for path, module in wrapped.named_modules():
            if isinstance(module, peft.tuners.lora.LoraLayer):
                modules[path] = [module.r["default"], module.scaling["default"] * module.r["default"]]
        cases.append({"options": options, "modules": modules})
    (GOLDEN / "peft_matches.json").write_text(json.dumps(
        {"made_with": f"peft {peft.__version__}", "layers": 3, "cases": cases}, indent=1) + "\n")


def training_rows():
    torch.manual_seed(5)
    return torch.randint(3, SHAPE["vocab_size"], (4, 12))


def golden_base():
    return LlamaForCausalLM.from_pretrained(GOLDEN / "models" / "default", dtype=torch.float32)


def save_adapter(model, directory):
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)
    config = json.loads((directory / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "tests/golden/models/default"
    config["target_modules"].sort()
    (directory / "adapter_config.json").write_text(json.dumps(config, sort_keys=True) + "\n")


def write_lora_fa():
    """Steps of PEFT's LoRA-FA optimizer. Its correction is computed in bfloat16 wherever there is support for it, on
    the CPU too; switched off here, so that the numbers are those of the method."""
    from peft.optimizers import lorafa
    lorafa.is_bf16_available = lambda: False
    directory = GOLDEN / "lora_fa"
    torch.manual_seed(7)
    model = peft.get_peft_model(golden_base(), peft.LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", alpha_pattern={"up_proj": 6}, task_type="CAUSAL_LM"))
    save_adapter(model, directory / "start")
    rate, decay = 1e-2, 0.1
    optimizer = lorafa.create_lorafa_optimizer(model, r=4, lora_alpha=8, lr=rate, weight_decay=decay)
    rows, losses = training_rows(), []
    for _ in range(8):
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    save_adapter(model, directory / "end")
    (directory / "expected.json").write_text(json.dumps(
        {"made_with": f"peft {peft.__version__}", "rows": rows.tolist(), "learning_rate": rate, "weight_decay": decay,
         "adam_epsilon": optimizer.defaults["eps"], "loss": losses}) + "\n")


def write_adalora():
    """Every step of a short AdaLoRA run: init phase, pruning, final phase."""
    directory = GOLDEN / "adalora"
    schedule = dict(target_r=2, tinit=2, tfinal=4, deltaT=2, beta1=0.8, beta2=0.7, orth_reg_weight=0.3)
    torch.manual_seed(7)
    model = peft.get_peft_model(golden_base(), peft.AdaLoraConfig(
        init_r=6, lora_alpha=48, target_modules="all-linear", total_step=16, task_type="CAUSAL_LM", **schedule))
    save_adapter(model, directory / "start")
    rate = 2e-2
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0.0)
    tuner, rows, steps = model.base_model, training_rows(), []
    allocator = tuner.rankallocator
    for step in range(1, 17):
        output = model(input_ids=rows, labels=rows)
        output.loss.backward()
        nll = torch.nn.functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten()).item()
        optimizer.step()
        tuner.update_and_allocate(step)
        optimizer.zero_grad()
        budget, masks = allocator.budget_schedule(step)
        pattern = tuner.peft_config["default"].rank_pattern if masks else None
        steps.append({"loss": nll, "orth_loss": output.loss.item() - nll, "budget": budget,
                      "ranks": pattern and {name.removesuffix(".lora_E.default"): sum(mask)
                                            for name, mask in pattern.items()},
                      "importance": {name.replace(".default", ""): (average * allocator.exp_avg_unc[name]).sum().item()
                                     for name, average in allocator.exp_avg_ipt.items()} if step in (1, 7, 11) else None})
    save_adapter(model, directory / "end")
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=rows).logits[:, -1]
    (directory / "expected.json").write_text(json.dumps(
        {"made_with": f"peft {peft.__version__}", "rows": rows.tolist(), "learning_rate": rate, "steps": steps,
         "logits_last": logits.tolist()}) + "\n")


CLASSIFIERS = {
    "classifier": (LlamaForSequenceClassification, LlamaConfig(**SHAPE, pad_token_id=0, id2label={
        0: "low", 1: "high", 2: "none"})),
    "classifier_qwen2": (Qwen2ForSequenceClassification, Qwen2Config(**SHAPE, pad_token_id=0, tie_word_embeddings=True)),
}


def write_classifiers():
    """Texts of 1 to 20 tokens, padded by 0, with their logits and mean loss; and the same with a PEFT adapter."""
    for name, (cls, config) in CLASSIFIERS.items():
        torch.manual_seed(len(name))
        model = cls(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
        directory = GOLDEN / "models" / name
        shutil.rmtree(directory, ignore_errors=True)
        model.save_pretrained(directory)
        lengths = [20, 1, 7, 13, 2]
        ids = torch.zeros(len(lengths), 20, dtype=torch.long)
        for row, length in enumerate(lengths):
            ids[row, :length] = torch.randint(3, config.vocab_size, (length,))
        labels = torch.tensor([0, 1, 1, config.num_labels - 1, 0])

        def forward(classifier):
            with torch.no_grad():
                output = classifier(input_ids=ids, labels=labels)
            return {"logits": output.logits.tolist(), "loss": output.loss.item()}

        expected = {"input_ids": [ids[row, :length].tolist() for row, length in enumerate(lengths)],
                    "labels": labels.tolist(), "plain": forward(model)}
        wrapped = peft.get_peft_model(model, peft.LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"],
                                                             task_type="SEQ_CLS")).eval()
        with torch.no_grad():
            for parameter in wrapped.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.3)
        expected["adapted"] = forward(wrapped)
        wrapped.save_pretrained(directory / "adapter")
        (directory / "adapter" / "README.md").unlink(missing_ok=True)
        (directory / "expected.json").write_text(json.dumps(expected) + "\n")


def write_quantization():
    """The nested scales' codes are those of bitsandbytes' CUDA kernels and of its fallback in torch, which take the
    nearest level; its CPU library rounds to a grid of 16 bits first and is off by one level in about one of 400. Given
    float64 it takes the fallback."""
    functional = bitsandbytes.functional
    torch.manual_seed(5)
    weight = (torch.randn(266, 63) * torch.rand(266, 1).exp() * 0.02).bfloat16()  # rows that no block divides, two nested blocks
    weight[3] = 0  # a whole block of zeros among them
    codes, state = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    offset = state.absmax.mean()
    levels = functional.create_dynamic_map()
    nested, nested_absmax = torch.ops.bitsandbytes.quantize_blockwise.default(
        (state.absmax - offset).double(), levels, 256)
    scales = functional.dequantize_blockwise(nested, absmax=nested_absmax, code=levels, blocksize=256) + offset
    values = lambda absmax: torch.ops.bitsandbytes.dequantize_4bit.default(
        codes, absmax, 64, "nf4", weight.shape, torch.float32)
    rows, row_scales, _ = functional.int8_vectorwise_quant(weight[:5].float())
    safetensors.torch.save_file({
        "weight": weight, "nf4_codes": codes.flatten(), "nf4_absmax": state.absmax, "nf4_offset": offset.reshape(1),
        "nf4_nested_codes": nested, "nf4_nested_absmax": nested_absmax, "dynamic_levels": levels,
        "nf4_values": values(state.absmax)[:5].clone(), "nf4_nested_values": values(scales)[:5].clone(),
        "int8_codes": rows, "int8_absmax": row_scales,
        "int8_values": functional.int8_vectorwise_dequant(rows, row_scales)}, GOLDEN / "quantization.safetensors")


# Adapters of PEFT's: how each is made, the golden model it is on, and the LoRA+ ratio it is trained with.
METHODS = {
    "rslora": (dict(use_rslora=True), "default", None),
    "dora": (dict(use_dora=True), "default", None),
    "dora_biases": (dict(use_dora=True, use_rslora=True), "biases", None),
    "dora_loraplus": (dict(use_dora=True), "default", 8.0),
    "pissa": (dict(init_lora_weights="pissa"), "default", None),
    "pissa_rslora": (dict(init_lora_weights="pissa", use_rslora=True), "default", None),
    "olora": (dict(init_lora_weights="olora"), "default", None),
}


def write_methods():
    """peft/NAME/: an adapter as PEFT saves it; the gradients (grads.safetensors) and logits it has, and the losses of the
    AdamW steps that follow. PiSSA and OLoRA are trained from their own start, and the adapter is what PEFT's conversion
    makes of them after the last step."""
    ids = (torch.arange(40) * 31 + 7).remainder(SHAPE["vocab_size"]).view(2, 20)
    for name, (options, base, ratio) in METHODS.items():
        torch.manual_seed(1)
        model = peft.get_peft_model(
            LlamaForCausalLM.from_pretrained(GOLDEN / "models" / base, dtype=torch.float32),
            peft.LoraConfig(r=3, lora_alpha=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", **options))
        model.peft_config["default"].base_model_name_or_path = base
        directory = GOLDEN / "peft" / name
        shutil.rmtree(directory, ignore_errors=True)
        converts = "init_lora_weights" in options
        with tempfile.TemporaryDirectory() as start:
            if converts:
                model.peft_config["default"].init_lora_weights = True
                model.save_pretrained(pathlib.Path(start) / "start")
            else:
                with torch.no_grad():
                    for key, parameter in model.named_parameters():
                        if "lora_B" in key:
                            parameter.normal_(0, 0.1)
                        if "magnitude" in key:
                            parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
                model.save_pretrained(directory)

            trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
            if ratio:
                optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=5e-3,
                                                                      loraplus_lr_ratio=ratio)
            else:
                optimizer = torch.optim.AdamW(trained.values(), lr=5e-3, weight_decay=0.0)
            losses, grads = [], None
            for _ in range(6):
                logits = model(input_ids=ids).logits
                loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
                optimizer.zero_grad()
                loss.backward()
                if grads is None:
                    first = logits[:, -1].tolist()
                    grads = {key.removeprefix("base_model.model.").split(".default")[0]: p.grad.clone()
                             for key, p in trained.items()}
                optimizer.step()
                losses.append(loss.item())
            with torch.no_grad():
                last = model(input_ids=ids).logits[:, -1].tolist()
            if converts:
                model.save_pretrained(directory, path_initial_model_for_weight_conversion=str(pathlib.Path(start) / "start"))
        (directory / "README.md").unlink()
        if not converts:
            safetensors.torch.save_file(grads, directory / "grads.safetensors")
        (directory / "expected.json").write_text(json.dumps(
            {"model": base, "loraplus_lr_ratio": ratio or 1.0, "losses": losses, "logits_first": first,
             "logits_last": last}) + "\n")


COMBINED = {  # adapters of layer 0: equal ranks, with another scaling and other modules each; and one of another rank
    "a": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "b": dict(r=4, lora_alpha=6, target_modules=["q_proj", "up_proj"], use_rslora=True),
    "c": dict(r=2, lora_alpha=3, target_modules=["v_proj", "up_proj"]),
}
COMBINATIONS = [
    {"combination_type": "cat", "adapters": ["a", "b", "c"], "weights": [0.7, -0.3, 0.5]},
    {"combination_type": "svd", "adapters": ["a", "b", "c"], "weights": [0.7, -0.3, 0.5], "svd_rank": 3},
    {"combination_type": "linear", "adapters": ["a", "b"], "weights": [0.7, -0.3]},
    *({"combination_type": kind + end, "adapters": ["a", "b"], "weights": [0.7, 0.4], "density": 0.6, **sign}
      for kind, sign in [("ties", {}), ("ties", {"majority_sign_method": "frequency"}), ("dare_linear", {}),
                         ("dare_ties", {}), ("magnitude_prune", {})] for end in ["", "_svd"]),
]
COMBINATION_SEED = 5


def write_combinations():
    """tests/golden/combinations/: adapters as PEFT saves them, and each module's update after add_weighted_adapter."""
    directory = GOLDEN / "combinations"
    shutil.rmtree(directory, ignore_errors=True)
    torch.manual_seed(1)
    base = LlamaForCausalLM.from_pretrained(GOLDEN / "models" / "default")
    model = None
    for name, options in COMBINED.items():
        config = peft.LoraConfig(task_type="CAUSAL_LM", layers_to_transform=[0], **options)
        if model is None:
            model = peft.get_peft_model(base, config, adapter_name=name)
        else:
            model.add_adapter(name, config)
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if "lora_" in path:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    for name in COMBINED:
        model.peft_config[name].base_model_name_or_path = "default"
        model.save_pretrained(directory, selected_adapters=[name])
    freeze = peft.tuners.lora.model._freeze_adapter

    def freeze_and_seed(*arguments):  # between the new adapter's own random values and the pruning
        freeze(*arguments)
        torch.manual_seed(COMBINATION_SEED)
    peft.tuners.lora.model._freeze_adapter = freeze_and_seed
    cases, tensors = [], {}
    for i, case in enumerate(COMBINATIONS):
        model.add_weighted_adapter(adapter_name=f"case{i}", **case)
        for path, module in model.base_model.model.named_modules():
            if isinstance(module, peft.tuners.lora.LoraLayer) and f"case{i}" in module.lora_A:
                tensors[f"{i}.{path}"] = module.get_delta_weight(f"case{i}").detach().contiguous()
        cases.append(case)
    peft.tuners.lora.model._freeze_adapter = freeze
    save_file(tensors, directory / "expected.safetensors")
    (directory / "cases.json").write_text(json.dumps(
        {"made_with": f"peft {peft.__version__}", "seed": COMBINATION_SEED, "cases": cases}, indent=1) + "\n")
    for readme in directory.glob("**/README.md"):
        readme.unlink()


def main():
    transformers.logging.set_verbosity_error()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    write_models()
    write_matches()
    write_lora_fa()
    write_adalora()
    write_classifiers()
    write_quantization()
    write_methods()
    write_combinations()


if __name__ == "__main__":
    main()
