"""Seeds of files with weights: alone, of a model, and of an adapter."""

import json
import struct

from fuzz_inputs.formats import GOLDEN, as_json, safetensors, variants, with_header


def safetensors_seeds():
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
              "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
    yield safetensors({"w": ("F32", [2, 3], bytes(24)), "b": ("BF16", [2], bytes(4))}, {"format": "pt"})
    yield safetensors({name: (name, [2], b"\1" * 2 * width) for name, width in widths.items()})
    yield safetensors({"e": ("I64", [0, 2], b""), "s": ("F32", [], bytes(4))})
    yield safetensors({"odd": ("U8", [3], bytes(3)), "w": ("F32", [1], bytes(4))})
    yield safetensors({})
    yield from damaged_safetensors()


def damaged_safetensors():
    """Each check of the reader fails once."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    bad = {"dtype": [None, 1, "F3"], "shape": [2, [-1], [2**63], [1.5], [2**62, 2**62], [3], ["x"]],
           "data_offsets": [[8, 0], [0, 8, 8], [0, -1], [0, 1], [4, 12], 0, [8, 16], [0, 2**40]]}
    for changed in variants(entry, bad):
        yield with_header(as_json({"w": changed}), bytes(12 if changed["data_offsets"] == [4, 12] else 8))
    for key in entry:
        yield with_header(as_json({"w": {k: v for k, v in entry.items() if k != key}}), bytes(8))
    yield with_header(as_json({"w": entry, "v": entry}), bytes(8))  # they overlap
    yield with_header(as_json({"w": entry}), bytes(9))  # bytes are left over
    yield with_header(as_json({"w": [1]}))
    for metadata in (None, 1, {"a": 1}, {"a": "b", "format": "pt"}):
        yield with_header(as_json({"__metadata__": metadata}))
    for text in (b"[1]", b'{"a": 1e999}', b'{"a": [[[[1]]]]}', b'{"a": 1, "a": 2}', b"{", b"{}x", b"", b" {}"):
        yield with_header(text)
    yield safetensors({"b": ("BOOL", [2], b"\1\2")})
    yield safetensors({"a": ("U8", [1], b"\0"), "b": ("F64", [1], bytes(8)), "c": ("BOOL", [1], b"\1")})
    yield struct.pack("<Q", 2**63) + b"{}"
    yield struct.pack("<Q", 100) + b"{}"
    yield b"{}"
    yield b"\x80\x02}q\x00."
    yield b"PK\x03\x04" + bytes(60)
    yield bytes(100)
    yield b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def gguf_seeds():
    text = lambda value: struct.pack("<Q", len(value.encode())) + value.encode()
    formats = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
    def value(code, content):
        return text(content) if code == 8 else struct.pack("<" + formats[code], content)
    def array(code, items):
        return struct.pack("<IQ", code, len(items)) + b"".join(value(code, item) for item in items)
    def file(metadata, tensors, data=b"", version=3, alignment=32):
        out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
        for key, code, content in metadata:
            out += text(key) + struct.pack("<I", code) + (content if code == 9 else value(code, content))
        for name, shape, kind, begin in tensors:
            out += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
            out += struct.pack("<IQ", kind, begin)
        return out + bytes(-len(out) % alignment) + data
    scalars = [(f"t.{code}", code, "größer" if code == 8 else code == 7 or 1) for code in [*formats, 8]]
    yield file([("general.architecture", 8, "llama"), *scalars], [("w", [4, 2], 0, 0)], bytes(32))
    yield file([(f"a.{code}", 9, array(code, ["a", ""] if code == 8 else [1, 0])) for code in [*formats, 8]], [])
    kinds = [("f32", [4], 0, 0), ("f16", [4, 1, 1, 2], 1, 32), ("q8", [32, 2], 8, 64), ("bf16", [3], 30, 160)]
    yield file([("general.alignment", 4, 32)], kinds, bytes(200))
    yield file([("general.alignment", 4, 64)], [("w", [4], 0, 0), ("k", [256], 12, 64)], bytes(300), alignment=64)
    yield file([], [], version=2)
    yield file([("n", 9, struct.pack("<IQ", 9, 1))], [])


SMALL_MODEL = {"model_type": "llama", "vocab_size": 5, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
               "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 16, "tie_word_embeddings": False}
LAYER = {"self_attn.q_proj.weight": [4, 4], "self_attn.k_proj.weight": [2, 4], "self_attn.v_proj.weight": [2, 4],
         "self_attn.o_proj.weight": [4, 4], "mlp.gate_proj.weight": [4, 4], "mlp.up_proj.weight": [4, 4], "mlp.down_proj.weight": [4, 4],
         "input_layernorm.weight": [4], "post_attention_layernorm.weight": [4]}
SHAPES = {"model.embed_tokens.weight": [5, 4], "model.norm.weight": [4], "lm_head.weight": [5, 4]} | {
    f"model.layers.0.{name}": shape for name, shape in LAYER.items()}


def numbers(shape):
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    return struct.pack(f"<{count}f", *[0.1 * (i % 7) - 0.3 for i in range(count)])


def small_weights(changed={}):
    """{name: (dtype, shape, bytes)} of SMALL_MODEL, with other entries, or without those that are None."""
    tensors = {name: ("F32", shape, numbers(shape)) for name, shape in SHAPES.items()} | changed
    return {name: tensor for name, tensor in tensors.items() if tensor}


def model_directory_seeds():
    """As tests/fuzz/model_directory.cpp has them, `name` is a number, and `flags` 8 for another file, 16 for new rows, 32 times
    a dtype, 128 for labels."""
    def directory(config=SMALL_MODEL, index=b"", weights=b"", name=0, flags=0, quantized=False):
        choice = flags + next(low for low in range(3, 6) if (flags + low) % 3 == name) - (0 if quantized else 3)
        return bytes([choice]) + as_json(config) + b"\0" + (index if isinstance(index, bytes) else as_json(index)) + b"\0" + weights

    whole = safetensors(small_weights(), {"format": "pt"})
    other = {"model_type": "gemma2", "head_dim": 2, "query_pre_attn_scalar": 2}
    for name in range(3):
        yield directory(weights=whole, name=name)
    for flags in (0, 16, 32, 48, 64, 96, 112, 128, 144, 176):
        yield directory(weights=whole, flags=flags)
        yield directory(SMALL_MODEL | {"torch_dtype": "float16"}, weights=whole, flags=flags, quantized=True)
    for change in ({"tie_word_embeddings": True}, {"vocab_size": 6}, {"num_hidden_layers": 2}, {"torch_dtype": "float8_e4m3fn"},
                   {"torch_dtype": "float64"}, {"attention_bias": True}, {"head_dim": 4}, {"sliding_window": 1, "model_type": "mistral",
                    "num_key_value_heads": 1}, other, {"architectures": ["LlamaForSequenceClassification"]}):
        yield directory(SMALL_MODEL | change, weights=whole)
        yield directory(SMALL_MODEL | change, weights=whole, flags=192)
    key, embedding, head = "model.norm.weight", "model.embed_tokens.weight", "lm_head.weight"
    for changed in ({key: None}, {embedding: None}, {head: None}, {"extra": ("F32", [1], bytes(4))}, {key: ("F32", [5], bytes(20))},
                    {key: ("I32", [4], bytes(16))}, {key: ("F8_E4M3", [4], bytes(4))}, {key: ("F64", [4], bytes(32))},
                    {head: ("F32", [5, 4], bytes(80))}, {head: ("BF16", [5, 4], bytes(40))}, {head: ("F8_E5M2", [5, 4], bytes(20))},
                    {key: ("F32", [4], b"\xff" * 16)}, {"model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", [1], bytes(4))}):
        for tied in (False, True):
            yield directory(SMALL_MODEL | {"tie_word_embeddings": tied}, weights=safetensors(small_weights(changed)))
    # Names as other programs write them.
    bare = {name.removeprefix("model."): tensor for name, tensor in small_weights({head: None}).items()}
    yield directory(SMALL_MODEL | {"tie_word_embeddings": True}, weights=safetensors(bare))
    yield directory(weights=safetensors(bare | {head: small_weights()[head]}))
    yield directory(SMALL_MODEL | {"tie_word_embeddings": True}, weights=safetensors(bare | {"model.x": ("F32", [1], bytes(4))}))
    classifier = SMALL_MODEL | {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}
    scores = small_weights({head: None, "score.weight": ("F32", [2, 4], bytes(32))})
    yield directory(classifier, weights=safetensors(scores), flags=128)
    yield directory(classifier, weights=safetensors(scores))
    shard = "model-00001-of-00002.safetensors"
    for names in ([shard], ["../x"], ["/etc/passwd"], ["missing"], [""], [".."], ["x" * 300], ["a\0b"], ["model.safetensors"], [shard, shard]):
        index = {"weight_map": {f"t{i}": name for i, name in enumerate(names)}}
        yield from (directory(index=index, weights=whole, name=name, flags=flags) for name, flags in ((0, 0), (1, 0), (1, 8), (0, 8)))
    second = shard.replace("1-", "2-", 1)
    for both in ({"a": shard, "b": second}, {"a": second}):
        yield from (directory(index={"weight_map": both}, weights=whole, name=name, flags=8) for name in (0, 1))
    for index in (b"{", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}', b'{"weight_map": {}}'):
        yield directory(index=index, weights=whole, name=1)
    yield directory()
    yield directory(weights=b"x")


def safetensors_parts(path):
    """{name: (dtype, shape, bytes)} of a file."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8:8 + length]), content[8 + length:]
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]) for name, entry in header.items()}


def adapter_directory_seeds():
    """As tests/fuzz/adapter_directory.cpp has them, `change` is what a recipe has otherwise, and `name` that of no weights."""
    bases = ["default", "qwen2", "tied", "biases"]

    def directory(config, tensors, base="default", change=0, name=0):
        return bytes([bases.index(base) + 4 * change + 32 * name]) + as_json(config) + b"\0" + (safetensors(tensors) if tensors is not None else b"")

    known = [path for path in sorted(GOLDEN.glob("*/*/adapter_model.safetensors")) if path.stat().st_size < 10_000]
    for path in known:
        config = json.loads((path.parent / "adapter_config.json").read_text())
        # Of null and false keys, PEFT's own defaults, the input need not be full.
        config = {key: value for key, value in config.items() if value not in (None, False, {}, [])}
        base = config.get("base_model_name_or_path")
        for one in ([base] if base in bases else bases):
            for change in range(8):
                yield directory(config, safetensors_parts(path), one, change)
    layers = GOLDEN / "peft_options/layers"
    tensors = safetensors_parts(layers / "adapter_model.safetensors")
    plain = {"peft_type": "LORA", "r": 3, "lora_alpha": 4, "target_modules": ["q_proj", "model.layers.0.self_attn.k_proj", "down_proj"],
             "layers_to_transform": 1, "layers_pattern": "layers"}
    first = next(iter(tensors))
    shape = tensors[first][1]
    count = shape[0] * shape[1]
    for change in range(8):
        yield directory(plain, tensors, change=change)
        yield directory(plain | {"modules_to_save": ["lm_head"]}, tensors, "tied", change=change)
    for name in range(4):
        yield directory(plain, None, name=name)
    for change in ({"r": 4}, {"lora_alpha": 5}, {"use_rslora": True}, {"use_dora": True}, {"peft_type": "ADALORA", "init_r": 3, "target_r": 2},
                   {"trainable_token_indices": [1]}, {"modules_to_save": ["norm"]}, {"task_type": "SEQ_CLS"}, {"bias": "all"},
                   {"init_lora_weights": "pissa"}, {"alpha_pattern": {"q_proj": 9}}, {"target_modules": "all-linear"}):
        yield directory(plain | change, tensors)
    for dtype, width in (("I64", 8), ("F8_E4M3", 1), ("F8_E5M2", 1), ("U16", 2), ("F64", 8), ("BOOL", 1), ("BF16", 2)):
        other = (dtype, shape, bytes(count * width))
        yield directory(plain, tensors | {first: other})
        for twin in (first.replace(".weight", ".default.weight"), "base_model.model." + first.split("base_model.model.")[-1] + ".default"):
            yield directory(plain, tensors | {twin: other})
            yield directory(plain, tensors | {twin: tensors[first]})
    yield directory(plain, tensors | {first: ("F32", shape[::-1], tensors[first][2])})
    yield directory(plain, tensors | {first: ("F32", shape, b"\xff" * 4 * count)})
    yield directory(plain, {name: tensor for name, tensor in tensors.items() if name != first})
    yield directory(plain | {"bias": "lora_only"}, tensors, "biases")
    yield directory(plain | {"peft_type": "ADALORA", "init_r": 9, "target_r": 2, "rank_pattern": {"x": 2}}, tensors)
    for name in ("model.embed_tokens.weight", "lm_head.weight", "model.embed_tokens.base_layer.weight", "lm_head.original_module.weight",
                 "model.embed_tokens.token_adapter.trainable_tokens_delta", "lm_head.token_adapter.trainable_tokens_delta", "extra"):
        for rows in ([48, 16], [51, 16], [2**40, 0], [49], [1, 16]):
            size = 4 * rows[0] * (rows[1] if len(rows) > 1 else 1)
            more = {"base_model.model." + name: ("F32", rows, bytes(size))}
            if size < 4000:
                yield directory(plain, tensors | more)
                yield directory(plain | {"trainable_token_indices": [48, 49, 50]}, tensors | more, "tied")

