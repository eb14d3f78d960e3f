#!/usr/bin/env python3
"""What lora-export writes as GGUF, loaded by llama.cpp itself:

  1. of stories260k: the base's greedy tokens are those of its reference; a trained adapter's merged model (f32, f16,
     bf16, q8_0) and the adapter applied at run time have the logits of our TorchScript export, and its greedy tokens;
  2. texts are read as the same tokens;
  3. small random models of each family and architecture (grouped heads, biases, head_dim, untied heads, linear and
     llama3 RoPE, windows, soft-capping) have transformers' logits, merged and with the adapter (LoRA, rsLoRA, rank patterns) at run time;
  4. thousands of texts are read as `tokenizers` reads them, through byte-level vocabularies;
  5. PyPI's gguf package reads the file back.

    scripts/peer/setup-llama-cpp                    # once
    scripts/peer/compare_with_llama_cpp.py --lora-train build/lora-train --data ../shared/data
"""

import ctypes
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import types
import unicodedata

import common
import gguf
import numpy
import peft
import safetensors.torch
import sentencepiece
import tokenizer_kinds
import tokenizer_texts
import torch
import transformers

LIBRARY = common.ROOT / ".deps/llama"

TEXTS = ["Once upon a time", " two  spaces and\ttabs\n\nlines", "größer, naïve, \u00e9t\u00e9", "def f(x):\n    return x ** 2",
         "\u65e5\u672c\u8a9e and \u0440\u0443\u0441\u0441\u043a\u0438\u0439", "\U0001f600 \u2603", "<s>not special</s>", ""]


def load_bindings():
    """llama-cpp-python's ctypes module alone, without what the package around it needs."""
    os.environ["LLAMA_CPP_LIB_PATH"] = str(LIBRARY / "lib")
    package = types.ModuleType("llama_cpp")
    package.__path__ = [str(LIBRARY / "llama_cpp")]
    sys.modules["llama_cpp"] = package
    import llama_cpp.llama_cpp as bindings
    return bindings


class Llama:
    """A GGUF model on the CPU, with float32 keys and values."""

    def __init__(self, lib, path, adapter=None):
        self.lib = lib
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.model:
            raise RuntimeError(f"llama.cpp does not load {path}")
        settings = lib.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = 512, 512, 512
        settings.n_threads = settings.n_threads_batch = 2
        settings.type_k = settings.type_v = 0  # F32
        settings.flash_attn_type = 0
        self.context = lib.llama_init_from_model(self.model, settings)
        self.vocabulary = lib.llama_model_get_vocab(self.model)
        self.size = lib.llama_vocab_n_tokens(self.vocabulary)
        if adapter:
            loaded = lib.llama_adapter_lora_init(self.model, str(adapter).encode())
            if not loaded:
                raise RuntimeError(f"llama.cpp does not load {adapter}")
            adapters, scales = (lib.llama_adapter_lora_p_ctypes * 1)(loaded), (ctypes.c_float * 1)(1.0)
            if lib.llama_set_adapters_lora(self.context, adapters, 1, scales) != 0:
                raise RuntimeError(f"llama.cpp does not apply {adapter}")

    def logits(self, ids):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        batch = self.lib.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        if self.lib.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        rows = [numpy.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.context, i), (self.size,)).copy()
                for i in range(len(ids))]
        self.lib.llama_batch_free(batch)
        return torch.from_numpy(numpy.stack(rows))

    def greedy(self, ids, count):
        ids = list(ids)
        for _ in range(count):
            ids.append(int(self.logits(ids)[-1].argmax()))
        return ids

    def tokens(self, text):
        found = (self.lib.llama_token * 512)()
        data = text.encode()
        count = self.lib.llama_tokenize(self.vocabulary, data, len(data), found, 512, False, False)
        return list(found[:count])

    def close(self):
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)


def random_models():
    """Name, transformers' config class and options; each a shape that another part of the writer has to get right."""
    common = dict(vocab_size=512, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2,
                  initializer_range=0.2)
    llama3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                  original_max_position_embeddings=64)
    linear = dict(rope_type="linear", rope_theta=10000.0, factor=2.0)
    return [
        ("llama, untied, biases", transformers.LlamaConfig, dict(common, attention_bias=True, mlp_bias=True)),
        ("llama, tied, llama3 RoPE", transformers.LlamaConfig,
         dict(common, tie_word_embeddings=True, rope_parameters=llama3)),
        ("llama, head_dim, linear RoPE", transformers.LlamaConfig, dict(common, head_dim=32, rope_parameters=linear)),
        ("qwen2", transformers.Qwen2Config, dict(common, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
        ("mistral", transformers.MistralConfig, dict(common, sliding_window=None)),
        ("qwen3", transformers.Qwen3Config, dict(common, head_dim=32)),
        ("phi3", transformers.Phi3Config, dict(common, pad_token_id=0)),
        ("gemma", transformers.GemmaConfig, dict(common, head_dim=32)),
        ("gemma2", transformers.Gemma2Config, dict(common, head_dim=32, query_pre_attn_scalar=32, sliding_window=16)),
        ("gemma3", transformers.Gemma3TextConfig,
         dict(common, head_dim=32, query_pre_attn_scalar=32, sliding_window=16, num_hidden_layers=7)),
        ("olmo2", transformers.Olmo2Config, common),
        ("granite", transformers.GraniteConfig,
         dict(common, attention_multiplier=0.3, embedding_multiplier=3.0, residual_multiplier=0.5, logits_scaling=2.0)),
        ("smollm3", transformers.SmolLM3Config, dict(common, num_hidden_layers=4, pad_token_id=0)),
    ]


def main():
    options = common.parse(__doc__)
    if not (LIBRARY / "version").exists():
        print(f"skipped: this comparison needs {LIBRARY / 'version'}: scripts/peer/setup-llama-cpp")
        return 77
    programs, verdicts = common.Programs(options.lora_train), common.Verdicts()
    data, report, export = options.data, verdicts.report, programs.export
    lib = load_bindings()
    quiet = lib.llama_log_callback(lambda level, text, user: None)
    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    lib.llama_backend_init()
    def compare(what, llama, wanted, ids, bound):
        found = llama.logits(ids)
        report(what, common.relative(found, wanted), bound)

    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        stories = data / "stories260k"
        reference = json.loads((stories / "reference.json").read_text())
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(stories / "tokenizer.model"))
        rows = json.loads((data / "instruction" / "instruction-data.json").read_text())[:64]
        (work / "rows.json").write_text(json.dumps(rows))
        ids = [1] + pieces.encode(rows[0]["instruction"] + " " + rows[1]["output"])[:60]

        fresh = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(stories, dtype=torch.float32),
                                    peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
        fresh.save_pretrained(work / "fresh")
        base = Llama(lib, export(work / "fresh", "gguf", work / "base.gguf", "--model", str(stories)))
        for case in reference["cases"]:
            prompt, wanted = case["ids"], case["greedy_40"]
            found = base.greedy(prompt, len(wanted))[len(prompt):]
            report("greedy tokens of stories260k that differ from its reference",
                   sum(a != b for a, b in zip(found, wanted)), 0)
        differing = sum(base.tokens(text) != pieces.encode(text) for text in TEXTS)
        report("texts that llama.cpp reads as other tokens", differing, 0)
        base.close()

        for method, init in [("lora", "kaiming"), ("rslora", "kaiming"), ("lora", "pissa"), ("dora", "kaiming")]:
            name = f"{method}-{init}"
            programs.train(common.write_recipe(
                work / f"{name}.yaml", model=stories,
                adapter={"method": method, "rank": 4, "alpha": 8, "target_modules": "all-linear", "init": init},
                data={"train": [{"path": str(work / "rows.json"), "format": "alpaca"}]},
                training={"max_steps": 12, "batch_size": 4, "max_length": 256, "learning_rate": 1e-2,
                          "checkpoint_every": 12},
                output=work / name))
            script = torch.jit.load(export(work / name, "torchscript", work / f"{name}-merged.pt"))
            with torch.no_grad():
                wanted = script(torch.tensor([ids]))[0]
                greedy = script.generate(torch.tensor([ids[:12]]), 24)[0].tolist()
            for outtype, bound in [("f32", 1e-5), ("f16", 2e-3), ("bf16", 2e-2), ("q8_0", 4e-2)]:
                if outtype != "f32" and name != "lora-kaiming":
                    continue
                llama = Llama(lib, export(work / name, "gguf", work / f"{name}.{outtype}.gguf", "--outtype", outtype))
                compare(f"{name}, merged as {outtype}", llama, wanted, ids, bound)
                if outtype == "f32":
                    same = llama.greedy(ids[:12], 24)[:len(greedy)] == greedy
                    report(f"{name}, greedy tokens that differ", 0 if same else 1, 0)
                llama.close()
            if method == "dora":
                continue
            llama = Llama(lib, work / "base.gguf", export(work / name, "gguf-lora", work / f"{name}.lora.gguf"))
            compare(f"{name}, adapter at run time", llama, wanted, ids, 1e-5)
            same = llama.greedy(ids[:12], 24)[:len(greedy)] == greedy
            report(f"{name}, greedy tokens with the adapter at run time that differ", 0 if same else 1, 0)
            llama.close()

        for name, config, settings in random_models():
            folder = work / name.replace(", ", "-").replace(" ", "-")
            torch.manual_seed(3)
            model = transformers.AutoModelForCausalLM.from_config(config(**settings), dtype=torch.float32)
            for key, parameter in model.named_parameters():
                if key.endswith("bias") or key.endswith("norm.weight"):  # a norm that is all ones says little
                    # Gemma norms what a norm gave: much spread there makes rounding large.
                    spread = 0.1 if "gemma" in name else 0.3
                    torch.nn.init.normal_(parameter, 0 if "gemma" in name or key.endswith("bias") else 1, spread)
            model.save_pretrained(folder / "base")
            shutil.copy(stories / "tokenizer.model", folder / "base")
            adapted = peft.get_peft_model(model, peft.LoraConfig(
                r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False,
                use_rslora="llama3" in name, rank_pattern={"o_proj": 2, "down_proj": 8}, alpha_pattern={"down_proj": 3}))
            for key, parameter in adapted.named_parameters():
                if "lora_" in key:
                    torch.nn.init.normal_(parameter, 0, 0.05)
            adapted.save_pretrained(folder / "adapter")
            with torch.no_grad():
                wanted = adapted.eval()(torch.tensor([ids])).logits[0]
                with adapted.disable_adapter():
                    plain = adapted(torch.tensor([ids])).logits[0]
            if (wanted - plain).abs().max() < 0.02 * plain.abs().max():
                verdicts.check(f"{name}: the adapter does something", False)
            place = ("--model", str(folder / "base"))
            bound = 2e-3 if "gemma" in name else 2e-5  # ggml looks GELU up in a table of F16
            llama = Llama(lib, export(folder / "adapter", "gguf", folder / "merged.gguf", *place))
            compare(f"{name}, merged", llama, wanted, ids, bound)
            llama.close()
            zero = folder / "zero"
            shutil.copytree(folder / "adapter", zero)
            weights = {key: torch.zeros_like(tensor) for key, tensor in
                       peft.utils.load_peft_weights(str(zero), device="cpu").items()}
            safetensors.torch.save_file(weights, zero / "adapter_model.safetensors")
            llama = Llama(lib, export(zero, "gguf", folder / "base.gguf", *place),
                          export(folder / "adapter", "gguf-lora", folder / "adapter.gguf", *place))
            compare(f"{name}, adapter at run time", llama, wanted, ids, bound)
            llama.close()

        # Byte-level vocabularies: llama.cpp splits and merges as `tokenizers` does. (It composes no characters: all are.)
        large, small = tokenizer_kinds.all_tokenizers()
        draw = random.Random(3)
        for name in ("gpt2", "llama3", "qwen2", "smollm"):
            tokenizer = (large | small)[name](data)
            folder = work / f"tokens-{name}"
            shape = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                         vocab_size=tokenizer.get_vocab_size())
            model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape, tie_word_embeddings=True))
            model.save_pretrained(folder / "base")
            tokenizer.save(str(folder / "base" / "tokenizer.json"))
            peft.get_peft_model(model, peft.LoraConfig(r=1, target_modules=["q_proj"])).save_pretrained(folder / "adapter")
            llama = Llama(lib, export(folder / "adapter", "gguf", folder / "model.gguf", "--model", str(folder / "base")))
            texts = [text.decode() for text in tokenizer_texts.make_texts(data, 3000, [], draw)
                     if text == text.decode(errors="replace").encode()]
            texts = [text for text in texts if text == unicodedata.normalize("NFC", text)]
            wanted = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
            differing = [text for text, ids in zip(texts, wanted) if len(ids) < 512 and llama.tokens(text) != ids]
            report(f"of {len(texts)} texts, those that llama.cpp reads as other tokens than {name}", len(differing), 0)
            for text in differing[:3]:
                print(f"     {text!r}: {llama.tokens(text)}")
            llama.close()

        file = gguf.GGUFReader(work / "lora-kaiming.q8_0.gguf")
        print(f"gguf package: {len(file.tensors)} tensors, {len(file.fields)} fields")
        report("tensors that the gguf package does not read", sum(
            not numpy.isfinite(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).all() for tensor in file.tensors), 0)
    print(f"gguf {gguf.__file__}")
    return verdicts.end(peft)


if __name__ == "__main__":
    sys.exit(main())
