"""Seeds of requests to lora-serve, and of schemas that answers keep to."""

from fuzz_inputs.formats import as_json, variants


def completion_request_seeds():
    """Each key of the API alone and all together, in both kinds of request."""
    keys = dict(model="m", max_tokens=5, max_completion_tokens=5, temperature=0.5, top_p=0.9, min_p=0.1, top_k=40,
                repetition_penalty=1.1, frequency_penalty=-1, presence_penalty=1, logit_bias={"12": -100, "3": 1.5}, seed=7,
                stop=["a", "é"], n=2, stream=True, stream_options={"include_usage": True}, user="u", best_of=1, echo=False,
                response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
                tool_choice="auto", parallel_tool_calls=True, store=False, metadata={"a": "b"})
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chat = dict(messages=[{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                          {"role": "assistant", "content": None, "tool_calls": [call]},
                          {"role": "tool", "tool_call_id": "1", "content": "4"}], tools=tools, logprobs=True, top_logprobs=3)
    odd = [None, "x", -5, 1e9, 0.5, [], {}, True, ["text"], {"x": 1}, {"1": "y"}, "", [1], 2**63]
    formats = [{"type": "json_object"}, {"type": "text"}, {"type": "x"}, {}, {"type": "json_schema"}, {"type": "text", "json_schema": {}},
               {"type": "json_schema", "json_schema": {"name": "n"}}, {"type": "json_schema", "json_schema": {"schema": True, "name": 1}},
               {"type": "json_schema", "json_schema": {"schema": {"type": "x"}, "name": "n", "strict": None}},
               {"type": "json_schema", "json_schema": {"schema": True, "name": "n", "strict": 1}}, {"type": "text", "x": 1}]
    changes = {key: odd for key in [*keys, "messages", "prompt", "tools", "logprobs", "top_logprobs", "functions", "suffix", "modalities",
                                    "service_tier", "nowhere", "mesages"]} | {"response_format": formats, "stop": [["a"] * 17, [""], *odd],
               "stream_options": [{"include_usage": False}, {"include_obfuscation": True}, {"x": 1}, *odd], "tool_choice": ["none", "x"],
               "logit_bias": [{"": 1}, {"1" * 19: 1}, {"-1": 1}, {"1": 101}, *odd], "prompt": [["a"] * 65, ["a", [1]], [[1.5]], "", [""], *odd]}
    inputs = ["", [], ["a", "b"], [1, 2], [[1], [2]], [[]], [1, "a"], [1.5], 3, None, [-1]]
    yield from map(as_json, variants({"input": "a", "model": "m"}, {"input": inputs, "dimensions": odd, "encoding_format":
                                                                    ["float", "base64", *odd], "user": ["u"], "inputs": [1]}))
    yield as_json(chat | {"logprobs": False, "top_logprobs": 2})
    yield as_json(chat | {"logprobs": None, "top_logprobs": 2})
    yield as_json({key: value for key, value in chat.items() if key != "logprobs"})
    yield from map(as_json, variants(chat, changes))
    yield from map(as_json, variants(dict(prompt="text"), changes))
    yield as_json(chat | {"logprobs": False})
    yield as_json(dict(chat, stream=True, stream_options={"include_usage": True}))
    yield b"["
    yield b"[]"
    yield b""
    for begin in (chat, dict(prompt="text", logprobs=2), dict(prompt=["a", "b"]), dict(prompt=[1, 2, 3]), dict(prompt=[[1], [2, 3]])):
        yield as_json(begin)
        yield as_json(begin | keys)
        yield from (as_json(begin | {key: value}) for key, value in keys.items())


def json_answer_seeds():
    """Schemas with texts that keep to them."""
    kinds = {"k": {"const": "a"}, "l": {"enum": ["b", 1, 12, None]}}
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"], "additionalProperties": False}
    for schema, text in ((True, '{"a": [1.5e3, null, "\\u00e9\\n"]}'), ({"type": "string", "minLength": 1, "maxLength": 3}, '"é€"'),
                         ({"type": ["integer", "boolean"]}, "-12"), ({"type": "array", "items": {"type": "number"}, "minItems": 1,
                         "maxItems": 3}, "[0.5, -1e9]"), ({"properties": kinds, "required": ["l"]}, '{"k": "a", "l": 12}'),
                         ({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "null"}}, '{"a":{},"é":null}'),
                         ({"$defs": {"node": node}, "$ref": "#/$defs/node"}, '{"next":{"next": null}}'),
                         ({"oneOf": [{"type": "object", "properties": {"k": {"const": i}}, "required": ["k"]} for i in (1, 2)]},
                          '{"k":2}'), ({"allOf": [{"type": "null", "title": "t"}]}, "null"),
                         ({"type": "array", "items": {"type": "number", "exclusiveMinimum": -2.5, "maximum": 1200}}, "[-2.25, 1199]"),
                         ({"anyOf": [{"type": "integer", "minimum": 7}, {"exclusiveMaximum": 0}]}, "12")):
        yield as_json(schema) + b"\0" + text.encode()
    yield from (as_json(schema) + b"\0" + text.encode() for schema in schemas() for text in JSON_TEXTS)
    yield from (as_json(schema) + b"\0" + text for schema, text in JSON_ENDS)
    nested = {"type": "null"}
    for _ in range(60):
        nested = {"properties": {"next": nested}}
    yield as_json(nested) + b"\0" + b'{"next":' * 60 + b"null"


# With what a schema bounds, and at the ends of what UTF-8 and JSON allow.
JSON_ENDS = [({"type": "string"}, text) for text in (
             b'"\\q"', b'"\\u12g4"', b'"\\uZ"', b'"\\u1g"', b'"\\u123g"', b'"\\uAbCd\\/\\b"', b'"\xe0\xa0\x80\xed\x9f\xbf"',
             b'"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xf3\x80\x80\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90"', b'"\xe0\x80"', b'"\xc3"', b'"\x1f"', b'"\xe6\x97\xa5"')]
JSON_ENDS += [({"type": kind} | bounds, text) for kind in ("integer", "number") for bounds in (
    {"minimum": 5, "maximum": 3}, {"minimum": -0.5, "maximum": 12.25}, {"exclusiveMinimum": 0.1, "exclusiveMaximum": 0.3}, {"minimum": "x"},
    {"exclusiveMinimum": -120, "maximum": -7}, {"minimum": 0.000001}, {"maximum": 99999999999}, {"minimum": 7.5, "maximum": 7.75})
    for text in (b"0", b"-0.25", b"12.25", b"0.2000001", b"-119", b"7.6", b"00", b"1e5")]
JSON_ENDS += [(schema, b'{"k": true, "b": [false, 1]}') for schema in (
    {"enum": [True, False, None, 1.5, -2, "x", {"k": True}, [1]]}, {"type": "object", "properties": {"$id": {"type": "boolean"}}},
    {"items": {"$id": "x"}}, {"anyOf": [{"const": i} for i in range(300)]}, {"properties": {f"p{i}": {} for i in range(300)}},
    {"anyOf": [{"type": "array", "items": {"anyOf": [{"const": i + j} for i in range(40)]}} for j in range(40)]},
    {"oneOf": [{"type": "object", "properties": {"k": {"const": 1}}}, {"type": "object", "properties": {"k": {"const": 2}}}]},
    {"oneOf": [{"type": "object", "properties": {"k": {"const": i}, "j": {}}, "required": ["j"]} for i in (1, 2)]},
    {"oneOf": [{"type": "object", "properties": {"k": {"const": i}}, "required": ["k"]} for i in (1, 1)]},
    {"oneOf": [{"type": "object", "properties": {key: {"const": 1}}, "required": [key]} for key in "kj"]},
    {"oneOf": [{"enum": ["a", 1]}, {"enum": ["b", 2.5, True]}]}, {"oneOf": [{"enum": ["a"]}, {"enum": ["a", "b"]}]},
    {"oneOf": [{"type": "object"}, {"const": {}}]},
    {"anyOf": [{"type": "object", "additionalProperties": {"type": "boolean"}}, {"type": "object"}]},
    {"anyOf": [{"type": "object", "properties": {"k": {}, "a": {}}}, {"type": "object", "properties": {"k": {"type": "boolean"}}}]},
    {"x" * 220: 1}, {"properties": {"x" * 220: {"type": "y"}}}, {"properties": {"a": {"x" * 99: {}}}})]


JSON_TEXTS = ['{"a": 1, "b": [true, null], "c": "x"}', '[{"a": -0.5e+3}, "\\u00e9\\ud83d\\ude00\\n", 12]', '"é\U0001f600"', "0", "-1.5", "nul", "b",
              '{"k":"aé", "a":1}', "[[[]]]", '"\\ud800"', '{"a":1,"a":2}', " [ ] ", '"\xff"']


def schemas():
    """Each keyword right, wrong, and beside others."""
    yield from (True, False, 3, [], {}, None, {"x": 1}, {"tytle": 1}, {"$id": "a", "$schema": "b", "title": "t"})
    kinds = ["null", "boolean", "object", "array", "string", "number", "integer"]
    yield from ({"type": kind} for kind in [*kinds, kinds, ["number", "integer"], [], "strin", 3, ["null", 3]])
    bounds = [0, 1, 3, -1, 1.5, "x", 2**62]
    for least, most, kind in (("minItems", "maxItems", "array"), ("minLength", "maxLength", "string")):
        yield from ({"type": kind, least: a} for a in bounds)
        yield from ({most: a} for a in bounds)
        yield {least: 3, most: 1}
        yield {"items": {"type": "integer"}, least: 1, most: 2} if kind == "array" else {least: 1, most: 2}
    a = {"type": "integer"}
    for more in ({}, {"required": ["a"]}, {"required": ["b"]}, {"required": [1]}, {"required": "a"}, {"additionalProperties": False},
                 {"additionalProperties": a}, {"additionalProperties": False, "required": ["z"]}, {"properties": []},
                 {"required": ["c", "a"], "additionalProperties": True}):
        yield {"properties": {"a": a, "b": {"type": "array"}, "c": True}} | more
    yield {"required": ["a", "é\""]}
    yield from ({"enum": values} for values in ([], ["a", "aé", "b", 1, None, {"a": 1}, [1]], "x", ["a", "a"]))
    yield from ({"const": 5} | more for more in ({}, {"type": "string"}, {"enum": [5, 6]}, {"enum": [6]}, {"type": "integer"}, {"items": a}))
    yield {"type": ["integer", "string"], "enum": [1.0, 1.5, "x", True]}
    yield from ({key: [a, {"type": "string"}]} for key in ("anyOf", "oneOf", "allOf"))
    yield from ({key: value} for key in ("anyOf", "allOf", "$ref") for value in ([], "x", 3, [a], ["x"]))
    yield {"anyOf": [a], "type": "string"}
    yield {"oneOf": [{"type": "number"}, {"type": "integer"}]}
    yield {"oneOf": [{"properties": {"k": {"enum": ["a", "b"]}}, "required": ["k"]}, {"properties": {"k": {"const": "b"}}, "required": ["k"]}]}
    yield {"oneOf": [{"type": "array"}, {"type": "object"}, True]}
    for pointer in ("#", "#/$defs/a", "#/$defs/a~1b", "#/$defs/m~0n", "#/anyOf/0", "#/anyOf/9", "#/anyOf/x", "#/nowhere", "a", "#a", "#/%20", 3):
        yield {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}, "b": {"type": "array", "items": {"$ref": "#/$defs/a"}},
                         "a/b": a, "m~n": a}, "anyOf": [a, {"type": "object", "properties": {"a": {"$ref": pointer}}}]}
    yield {"$ref": "#"}
    yield {"type": "array", "minItems": 1, "items": {"$ref": "#"}}
    yield {"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "array", "items": {"$ref": "#"}, "maxItems": 9}]}
