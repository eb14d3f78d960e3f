#!/usr/bin/env python3
"""Finds the answers of conversations in real chat templates, and checks that they hold what the assistant wrote and
nothing that others did.

    scripts/peer/answers_in_templates.py [--lora-train build/lora-train] [--templates ARCHIVE] [--show NAME]

The templates are those of jinja_with_transformers.py. Each conversation has words of its own in each message. Where
transformers renders it, the text must be the same, each answer must be found, hold its own words and calls (unless the
template drops them from the text), none of another message's, and end with text of the template.
  TRL's own templates come in pairs: as the model has it, and with {% generation %} for training. In the latter the
answers must be those of transformers' mask, in the former they must end as there.
"""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from transformers.utils import chat_template_utils

from jinja_with_transformers import TOOLS, parse_options, reference


NEXT_HEADER = "a turn ends with the next one's header, or with white space"
THINKING = "reads 'thinking', which we give it for 'reasoning_content'"
KNOWN = {"GLM-4.6": NEXT_HEADER, "GLM-4.7-Flash": NEXT_HEADER, "llama-cpp-rwkv-world": NEXT_HEADER + "; has no calls",
         "LFM2.5-8B-A1B": THINKING, "openai-gpt-oss-120b": THINKING,
         "meetkai-functionary-medium-v3.1": "relies on text beside |safe being escaped as HTML, which we do not",
         "trl/diffusion_gemma": "ends a call with <|tool_response>, which its marks leave out"}


def conversations():
    def say(role, content, **more):
        return {"role": role, "content": content, **more}

    def call(city, content=""):
        return say("assistant", content, tool_calls=[{"id": "abcdefghi", "type": "function", "function": {
            "name": "get_weather", "arguments": {"city": city, "days": 2}}}])

    system, ask, more, thanks = say("system", "Sys0"), say("user", "Ask1"), say("user", "Ask2"), say("user", "Ask3")
    result = say("tool", "Res1", name="get_weather", tool_call_id="abcdefghi")
    thought = say("assistant", "<think>\nHmm1\n</think>\n\nAns3")
    reasoned = say("assistant", "Ans4", reasoning_content="Hmm2")
    one, two = say("assistant", "Ans1"), say("assistant", "Ans2")
    return {"plain": [ask, one], "system": [system, ask, one], "two": [ask, one, more, two],
            "two, system": [system, ask, one, more, two], "call": [ask, call("Oslo1"), result, two],
            "call last": [ask, one, more, call("Oslo1")], "calls": [system, ask, call("Oslo1"), result, two, more, one],
            "call and words": [ask, call("Oslo1", "Say1"), result, two], "thoughts": [ask, thought, more, reasoned],
            "thought": [ask, thought], "reasoned": [ask, reasoned]}


def words_of(message):
    text = json.dumps({k: v for k, v in message.items() if k in ("content", "tool_calls", "reasoning_content")})
    return set(re.findall(r"[A-Z][a-z]+\d", text))


def problems(text, result, messages):
    found = result["text"]
    if found.replace("⟦", "").replace("⟧", "") != text:
        return ["another text"]
    spans = re.findall("⟦(.*?)⟧", found, re.S)
    answers = [m for m in messages if m["role"] == "assistant"]
    if len(spans) == len(answers) + 1:
        # Gemma 4 writes the words of a call behind its result: an answer in two pieces.
        words = [i for i, span in enumerate(spans) if span.startswith("Say1")]
        if words and words[0] > 0:
            spans[words[0] - 1:words[0] + 1] = [spans[words[0] - 1] + spans[words[0]]]
    if len(spans) != len(answers):
        return [f"{len(spans)} answers"]
    outside = re.sub("⟦.*?⟧", "", found, flags=re.S)
    all_words = set().union(*map(words_of, messages))
    seen = []
    for i, (span, message) in enumerate(zip(spans, answers)):
        own = words_of(message)
        if any(word in span for word in all_words - own):
            seen.append(f"answer {i} has others' words")
        if any(word in outside and word not in span and not word.startswith("Oslo") for word in own):
            seen.append(f"answer {i} is not whole")
        if not span.strip():
            seen.append(f"answer {i} is empty")
    return seen + ["an answer has no end" for i in result["open"] if i + 1 < len(messages)]


def trl_templates():
    spec = importlib.util.find_spec("trl")
    folder = pathlib.Path(spec.origin).parent / "chat_templates" if spec else pathlib.Path("none")
    pairs = {}
    for marked in sorted(folder.glob("*_training.jinja")):
        plain = marked.with_name(marked.name.replace("_training", ""))
        if plain.exists():
            pairs[f"trl/{plain.stem}"] = (plain.read_text(), marked.read_text())
    return pairs


def marked_text(template, messages, tools):
    """The rendering with ⟦ and ⟧ around what the marks have, without the white space at their ends."""
    text, spans = chat_template_utils._render_with_assistant_indices(
        compiled_template=chat_template_utils._compile_jinja_template(template), messages=messages, tools=tools,
        documents=None, add_generation_prompt=False, bos_token="<s>", eos_token="</s>")
    at, shown = 0, ""
    for begin, end in spans:
        shown += text[at:begin] + "⟦" + text[begin:end] + "⟧"
        at = end
    return re.sub(r"(\s+)⟧", r"⟧\1", (shown + text[at:]).replace("⟧⟦", "")).replace("⟦⟧", "")


def problems_beside_marks(case, result):
    try:
        expected = marked_text(case["marked"], case["messages"], case["tools"])
    except Exception:  # the template's own, or one of Python's
        return ["not rendered by transformers"]
    if "error" in result:
        return ["refused beside marks"]
    found = result["text"]
    if re.sub("[⟦⟧]", "", found) != re.sub("[⟦⟧]", "", expected):
        return ["not the text of the marked template"]
    if case["template"] == case["marked"]:
        return [] if found == expected else ["other answers than the marks say"]
    return [] if found.replace("⟦", "") == expected.replace("⟦", "") else ["other ends than the marks say"]


def ours(cases, program):
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = pathlib.Path(folder) / "cases", pathlib.Path(folder) / "out"
        asked.write_text("".join(json.dumps(case) + "\n" for case in cases))
        subprocess.run([program, "finds the answers of the cases of a file"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "LORA_TURN_CASES": str(asked), "LORA_TURN_OUT": str(answered)})
        return [json.loads(line) for line in answered.read_text().splitlines()]


def main():
    options, templates, program = parse_options("test_data", show=True)
    pairs = [(name, template, None) for name, template in templates.items()]
    for name, (plain, marked) in trl_templates().items():
        pairs += [(name, plain, marked), (name, marked, marked)]
    cases = [{"name": name, "chat": chat, "template": template, "marked": marked, "messages": messages,
              "tools": TOOLS if any("tool_calls" in m for m in messages) else None}
             for name, template, marked in pairs for chat, messages in conversations().items()]
    counts, seen, failed = {}, {}, False
    for case, result in zip(cases, ours(cases, program), strict=True):
        expected = reference(case["template"], {"messages": case["messages"], "tools": case["tools"], "documents": None,
                                                "add_generation_prompt": False, "bos_token": "<s>", "eos_token": "</s>"})
        if options.show and options.show in case["name"]:
            print(f"{case['name']}: {case['chat']}\n{json.dumps(result, ensure_ascii=False)}\n")
        if "error" in expected:
            found = ["not rendered by transformers"]
        elif case["marked"]:
            found = problems_beside_marks(case, result)
        elif "error" in result:
            found = ["refused: " + re.sub(r"\(.*\)|messages\[\d\]", "", result["error"])]
        else:
            found = problems(expected["text"], result, case["messages"])
        for what in found or ["right"]:
            counts[what] = counts.get(what, 0) + 1
            seen.setdefault(what, {}).setdefault(case["name"], []).append(case["chat"])
    print(f"{len(pairs)} templates, {len(cases)} conversations")
    for what, count in sorted(counts.items()):
        print(f"{count:5} {what}")
        if what in ("right", "not rendered by transformers", "not the text of the marked template"):
            continue
        for name, chats in seen[what].items():
            print(f"        {name} ({KNOWN.get(name, 'not known why')}): {', '.join(chats)}")
            failed |= name not in KNOWN
    sys.exit(failed)


if __name__ == "__main__":
    main()
