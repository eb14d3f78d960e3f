"""lora-serve by PyPI's openai client: chats, texts, streams, JSON, embeddings and errors, as the client reads them."""

import json
import pathlib
import re
import subprocess
import tempfile
import time
import typing

from common import ROOT, Verdicts, parse

import openai
import pydantic

RECIPE = """model: {{path: {quickstart}/model}}
adapter: {{method: lora, rank: 4, alpha: 8}}
data:
  train: [{{path: {quickstart}/data/train.jsonl, format: completion}}]
training: {{max_steps: 5, batch_size: 4, max_length: 128, learning_rate: 1.0e-2}}
output_dir: {run}
"""


def begin(build, directory):
    recipe = directory / "recipe.yaml"
    recipe.write_text(RECIPE.format(quickstart=ROOT / "recipes/quickstart", run=directory / "run"))
    subprocess.run([build / "lora-train", recipe], check=True, capture_output=True)
    log = directory / "log"
    process = subprocess.Popen([build / "lora-serve", ROOT / "recipes/quickstart/model", "--port", "0", "--adapter",
                                f"mine={directory / 'run'}"], stderr=log.open("w"))
    for _ in range(600):
        found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return process, found[1]
        time.sleep(0.1)
    raise SystemExit("lora-serve does not begin: " + log.read_text())


def main():
    options = parse(__doc__, needs_data=False)
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory() as place:
        process, port = begin(options.lora_train.parent, pathlib.Path(place))
        try:
            compare(openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0), verdicts)
        finally:
            process.terminate()
        verdicts.check("ends with 0", process.wait(60) == 0)
    return verdicts.end(openai)


def compare(client, verdicts):
    verdicts.check("models", [model.id for model in client.models.list()] == ["model", "mine"])
    verdicts.check("one model", client.models.retrieve("mine").id == "mine")
    asked = {"model": "mine", "temperature": 0, "max_tokens": 8}
    chat = {**asked, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"}]}

    whole = client.chat.completions.create(**chat)
    verdicts.check("chat", whole.choices[0].message.role == "assistant" and whole.choices[0].finish_reason in
                   ("stop", "length") and whole.usage.completion_tokens <= 8)
    chunks = list(client.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    verdicts.check("streamed chat", text == whole.choices[0].message.content, text)
    verdicts.check("streamed usage", chunks[-1].usage == whole.usage or
                   chunks[-1].usage.completion_tokens == whole.usage.completion_tokens)

    scored = client.chat.completions.create(**chat, logprobs=True, top_logprobs=3, n=2)
    content = scored.choices[1].logprobs.content
    verdicts.check("log-probabilities", len(scored.choices) == 2 and len(content[0].top_logprobs) == 3 and
                   abs(content[0].logprob - content[0].top_logprobs[0].logprob) < 1e-9)

    text = client.completions.create(**asked, prompt=["Question: Where?", "Answer:"])
    verdicts.check("completions", len(text.choices) == 2 and text.choices[1].index == 1)
    ids = client.completions.create(**asked, prompt=[1, 5, 6], logprobs=1)
    verdicts.check("tokens as a prompt", len(ids.choices[0].logprobs.tokens) == ids.usage.completion_tokens)

    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "why": {"enum": ["a", "b"]}},
              "required": ["n", "why"], "additionalProperties": False}
    formed = client.chat.completions.create(**{**chat, "max_tokens": 60}, response_format={
        "type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}})
    value = json.loads(formed.choices[0].message.content)
    verdicts.check("an answer by a schema", list(value) == ["n", "why"] and isinstance(value["n"], int) and
                   value["why"] in "ab", str(value))

    class Answer(pydantic.BaseModel):
        yes: bool
        word: typing.Literal["red", "green"] | None

    parsed = client.chat.completions.parse(**{**chat, "max_tokens": 100}, response_format=Answer, seed=1)
    verdicts.check("a class as the schema", isinstance(parsed.choices[0].message.parsed, Answer),
                   str(parsed.choices[0].message.parsed))

    inputs = ["Where?", "There."]
    vectors = client.embeddings.create(model="mine", input=inputs)  # the client asks for base64
    numbers = client.embeddings.create(model="mine", input=inputs, encoding_format="float")
    verdicts.report("embeddings in both encodings", max(abs(a - b) for one, other in zip(vectors.data, numbers.data)
                    for a, b in zip(one.embedding, other.embedding, strict=True)), 1e-7)
    verdicts.check("usage of embeddings", vectors.usage.prompt_tokens == vectors.usage.total_tokens > 0)

    for name, error, call in [
            ("a keyword that is not held to", openai.BadRequestError, lambda: client.chat.completions.create(
                **chat, response_format={"type": "json_schema", "json_schema": {
                    "name": "answer", "schema": {"type": "string", "pattern": "a"}}})),
            ("an unknown model", openai.NotFoundError, lambda: client.models.retrieve("other")),
            ("an unknown parameter", openai.BadRequestError,
             lambda: client.chat.completions.create(**chat, extra_body={"temprature": 1})),
            ("a long prompt", openai.BadRequestError, lambda: client.completions.create(**asked, prompt="a b " * 2000))]:
        try:
            call()
            verdicts.check(name, False, "was taken")
        except error as found:
            verdicts.check(name, bool(found.body["message"]), found.body["message"])


if __name__ == "__main__":
    raise SystemExit(main())
