#!/usr/bin/env python3
"""Writes tests/golden/turns.json: conversations in templates with the habits of real ones, and what of the text the
assistant wrote, as transformers tells it by {% generation %}.

    scripts/make_golden_turns.py      needs transformers and jinja2

A case's template has the marks around what is to be trained. The test takes them out and finds the same text.
"""

import json
import pathlib
import re

from transformers.utils import chat_template_utils


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments, content="", **more):
    return say("assistant", content, tool_calls=[
        {"type": "function", "id": "abcdefghi", "function": {"name": name, "arguments": arguments}}], **more)


USER, AGAIN, SYSTEM = say("user", "Q1"), say("user", "Q2"), say("system", "Be short.")
ANSWER, LAST = say("assistant", "A1"), say("assistant", "A2")
CALL = call("look", {"city": "Oslo", "days": 2})
RESULT = say("tool", "-3", name="look", tool_call_id="abcdefghi")
THOUGHT = say("assistant", "<think>\nwhy\n</think>\n\nA1")
REASONED = say("assistant", "A2", reasoning_content="because")

CHATS = {
    "plain": [USER, ANSWER],
    "two turns": [SYSTEM, USER, ANSWER, AGAIN, LAST],
    "calls": [USER, CALL, RESULT, LAST],
    "a call at the end": [USER, ANSWER, AGAIN, CALL],
    "two calls": [USER, CALL, RESULT, call("look", {"city": "Oslo"}), RESULT, LAST, AGAIN, ANSWER],
    "words and a call": [USER, call("look", {"city": "<end>"}, "Let me see."), RESULT, LAST, AGAIN, REASONED],
    "thoughts": [USER, THOUGHT, AGAIN, REASONED],
    "an answer without words": [USER, CALL, RESULT, say("assistant", ""), AGAIN, LAST],
    "like texts": [say("user", "A1"), ANSWER, say("user", "A1"), ANSWER, say("user", "A1"), ANSWER],
}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]

# Turns of [SYSTEM], user and tool, for templates that need no others.
BEGIN = "{% for m in messages %}{% if m.role != 'assistant' %}<{{ m.role }}>{{ m.content }}<end>{% else %}<assistant>"
END = "{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"

TEMPLATES = {
    # The tool's turn tells which call it answers: behind the result, before it, or in another form.
    "names the call behind the result":
        "{% for m in messages %}{% if m.role=='tool' %}<tool>{{ m.content }} "
        "({{ messages[loop.index0-1].tool_calls[0].function.name }})<end>{% elif m.tool_calls %}<assistant>"
        "{% generation %}{{ m.tool_calls[0].function.name }}<end>{% endgeneration %}{% elif m.role == 'assistant' %}"
        "<assistant>{% generation %}{{ m.content }}<end>{% endgeneration %}"
        "{% else %}<{{m.role}}>{{ m.content }}<end>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}",
    "names the call before the result":
        "{% for m in messages %}{% if m.role=='tool' %}<tool {{ messages[loop.index0-1].tool_calls[0] | tojson }}>"
        "{{ m.content }}<end>{% elif m.role == 'assistant' %}<assistant>{% generation %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c | tojson }}{% endfor %}<end>{% endgeneration %}"
        "{% else %}<{{m.role}}>{{ m.content }}<end>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}",
    # The last message's calls have no id (Apriel).
    "writes ids of calls but in the last message":
        BEGIN + "\n{% set last = loop.last %}{% generation %}{{ m.content }}{% for c in m.tool_calls or [] %}"
        "<calls>[{{ '{\"name\": \"' + c.function.name + '\", \"arguments\": ' + c.function.arguments | string }}"
        "{% if not last %}{{ ', \"id\": \"' + c.id + '\"' }}{% endif %}{{ '}' }}]</calls>{% endfor %}"
        "{{ '\\n<end>' + eos_token }}{% endgeneration %}{{ '\\n' }}" + END.replace("<assistant>", "<assistant>\n"),
    # … and no end either; the prompt begins to reason (Apriel-1.6).
    "ends an answer only where another message follows":
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ '\n<assistant>\n' }}{% set last = loop.last %}"
        "{% generation %}{{ m.content }}{% for c in m.tool_calls or [] %}"
        "{{ '\n<calls>[{\"name\": \"' + c.function.name + '\", \"arguments\": ' + c.function.arguments | string }}"
        "{% if not last %}{{ ', \"id\": \"' + c.id + '\"' }}{% endif %}{{ '}]</calls>' }}{% endfor %}"
        "{% if not loop.last %}{{ '\n<end>' }}{% endif %}{% endgeneration %}{% if not loop.last %}{{ '\n' }}{% endif %}"
        "{% elif m.role == 'tool' %}{{ '<result>\n' + m.content + '\n' }}"
        "{% elif m.role == 'user' %}{{ '<user>\n' + m.content }}{% else %}{{ '<system>\n' + m.content + '\n' }}{% endif %}"
        "{% if loop.last and m.role != 'assistant' %}{{ '\n<assistant>\nHere are my steps:\n' }}{% endif %}{% endfor %}",
    # The last message is written elsewhere, by other literals, and begins with <think> (Nemotron-Nano-v2).
    "writes the last answer elsewhere":
        "{% set ns = namespace(last=none) %}{% if messages[-1].role == 'assistant' %}{% set ns.last = messages[-1] %}"
        "{% set messages = messages[:-1] %}{% endif %}"
        "{% for m in messages %}{% if m.role == 'assistant' %}{% set words = m.content.split('</think>')[-1] | trim %}"
        "<10>Assistant\n{% generation %}{{ words }}"
        "{% if m.tool_calls %}[{{ m.tool_calls[0].function | tojson }}]{% endif %}{{ '\\n<12>' }}{% endgeneration %}"
        "{{ '\\n\\n' }}{% else %}<11>{{ m.role + '\\n' + m.content + '\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<10>Assistant\\n<think>\\n\\n' }}"
        "{% elif ns.last %}{{ '<10>Assistant\\n' }}"
        "{% if ns.last.tool_calls %}{% generation %}{{ '[' }}{{ ns.last.tool_calls[0].function | tojson }}{{ ']' }}"
        "{{ '\\n<12>' }}{% endgeneration %}{{ '\\n\\n' }}"
        "{% else %}{{ '<think>\\n\\n' }}{% generation %}{{ ns.last.content | trim }}{{ '\\n<12>' }}"
        "{% endgeneration %}{{ '\\n\\n' }}{% endif %}{% endif %}",
    # The last answer ends in another token than those before it (gpt-oss).
    "ends the last answer in a way of its own":
        "{% set ns = namespace(name='') %}{% for m in messages %}{% if m.role == 'assistant' %}<start>assistant"
        "{% generation %}{% if m.tool_calls %} to={{ m.tool_calls[0].function.name }}<message>"
        "{{ m.tool_calls[0].function.arguments | tojson }}<call>"
        "{% elif loop.last and not add_generation_prompt %}<channel>final<message>{{ m.content }}<return>"
        "{% else %}<channel>final<message>{{ m.content }}<end>{% endif %}{% endgeneration %}"
        "{% if m.tool_calls %}{% set ns.name = m.tool_calls[0].function.name %}{% endif %}"
        "{% elif m.role == 'tool' %}{{ '<start>' + ns.name + ' to=assistant<message>' + m.content + '<end>' }}"
        "{% else %}{{ '<start>' + m.role + '<message>' + m.content + '<end>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<start>assistant{% endif %}",
    # The next turn, or the end of the conversation, writes the end of an answer (Apertus).
    "ends an answer where the next turn begins":
        "{% set stop = '<stop>' %}{% set ns = namespace(open=false) %}{% for m in messages %}"
        "{% if m.role == 'assistant' %}<assistant>{% generation %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{% endgeneration %}{% set ns.open = true %}"
        "{% else %}{% if ns.open %}{% generation %}{{ stop }}{% endgeneration %}{% set ns.open = false %}{% endif %}"
        "<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endif %}{% endfor %}"
        "{% if ns.open %}{% generation %}{{ stop }}{% endgeneration %}{% endif %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}",
    # … and the end of the conversation does not.
    "ends an answer only where the next question begins":
        "{% set ns = namespace(open=false) %}{% for m in messages %}"
        "{% if m.role == 'assistant' %}{% if not ns.open %}<assistant>{% set ns.open = true %}{% endif %}"
        "{% generation %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}"
        "{% endgeneration %}{% elif m.role == 'tool' %}[{{ m.content }}]"
        "{% else %}{% if ns.open %}{% generation %}{{ '<stop>' }}{% endgeneration %}{% set ns.open = false %}{% endif %}"
        "{{ '<' + m.role + '>' + m.content + '</' + m.role + '>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt and not ns.open %}<assistant>{% endif %}",
    # White space differs between the last answer's end and the others' (Nemotron-Nano-v2).
    "ends the last answer with other white space":
        "{% for m in messages %}{% if m.role == 'assistant' %}<assistant>{% generation %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}"
        "{{ '<end>' if loop.last else '\n<end>' }}{% endgeneration %}{{ '\n\n' if loop.last else '\n' }}"
        "{% else %}{{ '<' + m.role + '>' + m.content + '</' + m.role + '>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}",
    # A turn of a tool ends for a prompt, but not before an answer (Bielik's index is off by one).
    "ends a tool's turn for a prompt alone":
        "{% for m in messages %}{% if m.role == 'assistant' %}<assistant>{% generation %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}<end>{% endgeneration %}"
        "{% else %}<{{ m.role }}>{{ m.content }}{% if loop.last or m.role != 'tool' %}<end>{% endif %}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
    # The first Llama-3 template.
    "always adds the generation prompt":
        "{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{{ '<|eot_id|>' }}{% endgeneration %}"
        "{% else %}{{ m.content }}{{ '<|eot_id|>' }}{% endif %}{% endfor %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}".replace(
            "<|{{ m.role }}|>\n", "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}"),
    # … with a header for answers and for calls (command-r7b).
    "adds a header to what it always adds":
        "{% for m in messages %}{% if m.role == 'assistant' %}<turn><bot>{% generation %}{% if m.tool_calls %}<action>"
        "{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}</action><stop>"
        "{% else %}<response>{{ m.content }}</response><stop>{% endif %}{% endgeneration %}"
        "{% else %}<turn><{{ m.role }}>{{ m.content }}<stop>{% endif %}{% endfor %}<turn><bot>",
    # EOS stands behind the whole conversation.
    "always ends with EOS":
        "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}|{% endgeneration %}"
        "{% else %}{{ m.content }}|{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% else %}{% generation %}{{ eos_token }}{% endgeneration %}{% endif %}",
    # The prompt begins to think; a call does not, and other answers only if they have thoughts (R1, Qwen3.5, GLM).
    "begins to think in the prompt":
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<bot>' }}"
        "{% if m.tool_calls %}{% generation %}{{ '<calls>' + m.tool_calls[0].function | tojson + '</calls><stop>' }}"
        "{% endgeneration %}"
        "{% elif m.reasoning_content %}{{ '<think>\\n' }}"
        "{% generation %}{{ m.reasoning_content + '\\n</think>\\n' + m.content + '<stop>' }}{% endgeneration %}"
        "{% else %}{% generation %}{{ m.content.split('</think>')[-1] | trim }}<stop>{% endgeneration %}{% endif %}"
        "{% else %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<bot><think>\\n' }}{% endif %}",
    # … or not to think (DeepSeek-V3.2). Where old turns differ from their prompts, they are trained from there on.
    "thinks or not behind the user's words":
        "{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
        "{% endif %}{% endfor %}{% for m in messages %}{% if m.role == 'assistant' %}"
        "{% generation %}{% if loop.index0 > ns.last %}{{ m.reasoning_content or '' }}</think>{% endif %}"
        "{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{{ eos_token }}"
        "{% endgeneration %}"
        "{% else %}<{{ m.role }}>{{ m.content }}{% if m.role != 'system' %}<bot>{% if loop.index0 >= ns.last %}<think>"
        "{% else %}{% generation %}</think>{% endgeneration %}{% endif %}{% endif %}"
        "{% endif %}{% endfor %}",
    # An answer goes on with the turn of the call before it: the prompt behind a tool's result has no header, but the
    # conversation does (Gemma 4's for diffusion).
    "has no header in the prompt behind a result":
        "{% for m in messages %}{% if m.role == 'tool' %}[{{ m.content }}]{% else %}"
        "{{ '<turn>' + m.role + '\n' }}{% if m.role != 'assistant' %}{{ m.content }}{{ '<end>\n' }}"
        "{% else %}{% generation %}{{ m.content }}{% for c in m.tool_calls or [] %}"
        "<call>{{ c.function | tojson }}</call>{% endfor %}"
        "{% if not m.tool_calls %}<end>{% endif %}{% endgeneration %}"
        "{% if not m.tool_calls %}{{ '\n' }}{% endif %}{% endif %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt and messages[-1].role != 'tool' %}{{ '<turn>assistant\n' }}{% endif %}",
    # The call's turn has its results in it, and its words behind them (Gemma 4).
    "writes a call's words behind its results":
        "{% for m in messages %}{% set at = loop.index0 %}{% if m.role == 'assistant' %}{{ '<turn>model\n' }}"
        "{% for c in m.tool_calls or [] %}{% generation %}<call>{{ c.function | tojson }}</call>{% endgeneration %}"
        "{% if messages[at + 1:] %}{{ '<result>' + messages[at + 1].content + '</result>' }}{% endif %}{% endfor %}"
        "{% if m.content or not m.tool_calls or not messages[at + 1:] %}{% generation %}{{ m.content }}<end>"
        "{% endgeneration %}{% endif %}{{ '\n' }}{% elif m.role != 'tool' %}{{ '<turn>' + m.role + '\n' + m.content + '<end>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt and messages[-1].role != 'tool' %}{{ '<turn>model\n' }}{% endif %}",
    # Tools and the system message stand in the last question (Mistral).
    "moves tools and the system message":
        "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{% for m in messages %}"
        "{% if m.role == 'user' %}{% if m == users[-1] and tools %}[T]{{ tools | tojson }}[/T]{% endif %}[INST]"
        "{% if m == users[-1] and messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% endif %}"
        "{{ m.content }}[/INST]{% elif m.role == 'assistant' %}{% generation %}{% if m.tool_calls %}[CALLS]"
        "{{ m.tool_calls | tojson }}{% else %} {{ m.content }}{% endif %}{{ eos_token }}{% endgeneration %}"
        "{% elif m.role == 'tool' %}[R]{{ m.content }}[/R]{% endif %}{% endfor %}",
    # Old thoughts are dropped, and answers trimmed where others follow (Qwen3).
    "drops old thoughts":
        BEGIN + "{% set words = m.content if loop.last else m.content.split('</think>')[-1] | trim %}"
        "{% generation %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ words }}"
        "{% for c in m.tool_calls or [] %}\n<call>{{ c.function | tojson }}</call>{% endfor %}<end>{% endgeneration %}"
        "{{ '\\n' }}" + END,
    # Two marks in an answer.
    "marks words and calls apart":
        BEGIN + "{% generation %}{{ m.content }}{% endgeneration %}{% if m.tool_calls %}<calls>"
        "{% generation %}{{ m.tool_calls[0].function | tojson }}{% endgeneration %}</calls>{% endif %}"
        "{% generation %}<end>{% endgeneration %}" + END,
}
# Their text without marks would not be trained so: the marks alone say it.
MARKS_ALONE = {"marks words and calls apart"}


def reference(template, messages, tools):
    compiled = chat_template_utils._compile_jinja_template(template)
    text, spans = chat_template_utils._render_with_assistant_indices(
        compiled_template=compiled, messages=messages, tools=tools, documents=None, add_generation_prompt=False,
        bos_token="<s>", eos_token="</s>")
    plain = chat_template_utils._compile_jinja_template(without_marks(template)).render(
        messages=messages, tools=tools, documents=None, add_generation_prompt=False, bos_token="<s>", eos_token="</s>")
    assert plain == text, (template, plain, text)
    trained = bytearray(len(text))
    for begin, end in spans:
        trained[begin:end] = b"\1" * (end - begin)
    shown, inside = "", False
    for i, character in enumerate(text):
        if trained[i] != inside:
            shown += "⟦" if trained[i] else "⟧"
        inside = trained[i]
        shown += character
    return shown + ("⟧" if inside else "")


def without_marks(template):
    return re.sub(r"{% (end)?generation %}", "", template)


def main():
    cases = []
    for name, template in TEMPLATES.items():
        for chat, messages in CHATS.items():
            tools = TOOLS if any("tool_calls" in m for m in messages) else None
            cases.append({"name": f"{name}: {chat}", "template": template,
                          "plain": None if name in MARKS_ALONE else without_marks(template),
                          "messages": messages, "tools": tools, "text": reference(template, messages, tools)})
    path = pathlib.Path(__file__).parent.parent / "tests/golden/turns.json"
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    path.write_text(f"[\n{lines}\n]\n")
    print(f"{path}: {len(cases)} cases")


if __name__ == "__main__":
    main()
